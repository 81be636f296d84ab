"""The cost of an answer: CPU time, latency and memory of the gateway, beside other servers on the same model.

``command`` runs it. Servers: ``systems`` starts them, ``deploy`` what a Ray cluster serves, ``bare`` and
``bare_serve`` are minimal ones, ``peers`` those of others; ``model`` is what all serve. Load: ``client`` drives
``load_process``, which sends ``v2_request`` over a ``connection`` by ``load``. Findings: ``measure`` one cell,
``accounting`` and ``memory`` of processes, ``verdicts``, ``tables``, ``plot``.
"""
