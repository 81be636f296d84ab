"""The life of a version, from deployed to deleted: releases, the controller that carries them out, and the judge.

- ``model``: the documents: plan, release, names of tags; what the registry asks for. Pure.
- ``lifecycle``: the state machine: phases, orders, capacity. Pure.
- ``judge``: is a challenger worse than the champion? Pure.
- ``control``: the controller: observes the cluster, decides by ``lifecycle``, stores, acts.
- ``registry``: begins what tags and aliases in MLflow ask for.
- ``api``: ``/releases`` over HTTP, and the Serve application that holds all of it.

``jobs.release`` is its command line. A contract keeps Ray, Redis, MLflow and asyncio out of the pure rooms.
"""
