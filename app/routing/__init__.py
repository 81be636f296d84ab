"""Routing: which version answers a request.

``route_table`` holds the versions of a model and their weights, ``split`` ranks them for a sticky key, ``attempts``
makes attempts under a deadline with ``breaker`` and retry budget, ``release_context`` is the part of a release that
travels in the table. These and no others are pure, but ``attempts``. ``route_store`` keeps the tables in Redis,
``redis_watch`` keeps a replica's copy current, ``readback`` asks all gateway replicas which revision they follow. The
gateway reads the tables, releases and deployments write them.
"""
