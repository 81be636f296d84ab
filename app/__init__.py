"""Tidegate: train, release and serve models on one Ray cluster.

The application. It knows nothing of ``jobs`` (what ``ray job submit`` runs) or ``cluster`` (where it runs).

Rooms: ``gateway`` and ``releases`` are the two HTTP faces, which meet in ``web``; ``routing`` picks a version,
``serving`` runs it, ``monitoring`` measures it; ``training`` makes it of ``recipes`` and ``features``; ``events`` is
the event log. In every room:

- ``settings``, ``stack_environment``: the settings' tree, and the file in which a local stack leaves its addresses.
- ``errors``, ``exit_codes``, ``terminal``: the base of all errors, codes of commands, what commands print.
- ``registry``, ``model_spec``: the client of MLflow, and a version's inputs and outputs.
- ``redis_client``, ``stored_document``: the client of Redis, and documents that outlive the version that wrote them.
- ``periodic``, ``clock``, ``ray_internals``: background tasks, the wall clock, Ray's private modules.
"""
