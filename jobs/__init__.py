"""Commands that a person or Ray's job submission runs.

``cli`` is the command ``tidegate``; ``python -m jobs.NAME`` is the same command for ``ray job submit``. One folder
for each job: ``train``, ``deliver``, ``release``, ``versions``, ``materialize``; ``event_tail`` is a single file.
``run`` is the demo on real data, ``bench`` the benchmarks, ``pictures`` draws those of the README. Shared by jobs:
``connect`` (to Ray, or a cluster of its own), ``ray_environment``, ``signals``. ``configs`` and ``plans`` are the
shipped training configurations and release plans.
"""
