"""Labels of predictions on their way into the event log.

``routes`` is ``POST /feedback``, which calls ``ingestion``; ``openapi`` describes it, ``front`` lists it.
"""
