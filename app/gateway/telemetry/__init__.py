"""Events and metrics of requests: ``reporter`` takes every request's record, ``prediction_log`` makes its event."""
