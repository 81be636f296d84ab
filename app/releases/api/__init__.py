"""``/releases`` over HTTP, and the Serve application. Nothing is decided here.

``ingress.build`` is what Serve imports. ``routes`` reply with a ``release_body``; ``event_stream`` sends changes,
``webhook`` hears MLflow's; ``errors`` are those that only this face has.
"""
