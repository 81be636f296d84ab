"""Labels of predictions: ``POST /feedback``, on their way into the event log."""
