"""Commands that a person or Ray's job submission runs.

``cli`` is the command ``tidegate``; ``python -m jobs.NAME`` is the same command for ``ray job submit``. One folder
for each job: ``train``, ``deliver``, ``release``, ``versions``, ``materialize``; ``run`` is the demo on real data,
``bench`` the benchmarks. ``configs`` and ``plans`` are the shipped training configurations and release plans.
"""
