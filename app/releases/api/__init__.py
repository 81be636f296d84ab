"""``/releases`` over HTTP: routes, bodies, the stream of events, MLflow's webhook, and the Serve application.

``ingress.build`` is what Serve imports; everything else here is called by it. Nothing is decided here.
"""
