"""The documents of releases as plain values. Pure: no Ray, Redis, MLflow or asyncio, by contract.

``plan`` (YAML) and ``release`` (Redis, HTTP) are read by every other room and by ``jobs.release``; ``document`` is a
release as JSON. ``routing_context`` makes the route table's part; ``release_request`` and ``tags`` are the registry's
side; ``names`` are paths and names of the application.
"""
