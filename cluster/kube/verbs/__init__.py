"""One file per verb of ``tidegate kube``: its options, what it prints, its exit code.

Looking: ``doctor``, ``render``, ``diff``, ``status``, ``logs``. Writing: ``apply`` (the verb ``up``), ``down``,
``scale``, and ``train``, which submits a RayJob.
"""
