"""Admission of requests: authentication by ``app.web.keys``, then the rate limit of the key.

``admission`` is the first step of every front; ``rate_limit`` counts the requests of each key.
"""
