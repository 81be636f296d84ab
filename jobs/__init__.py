"""What ``ray job submit`` runs. Every job also runs as a plain ``python -m jobs.NAME``."""

import os

from app.stack_environment import adopt_ray_environment

# Both here, because Ray reads its environment when a job's module imports it.
adopt_ray_environment()
# A node's setting, which a submitted job inherits. It binds a handle to the loop that made it, and a job closes its
# handles when that loop is over.
os.environ.pop("RAY_SERVE_THROUGHPUT_OPTIMIZED", None)
