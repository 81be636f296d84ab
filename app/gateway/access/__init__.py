"""Admission of requests: authentication by ``app.web.keys``, then the rate limit of the key. The fronts call it."""
