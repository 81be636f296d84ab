"""The environment that Ray must find when a job imports it."""

from __future__ import annotations

import os

from app.stack_environment import adopt_ray_environment


def prepare_for_ray() -> None:
    """Take over what the local stack left for drivers; to be called before Ray is imported, which reads it then."""
    adopt_ray_environment()
    # A node's setting, which a submitted job inherits. It binds a handle to the loop that made it, and a job closes
    # its handles when that loop is over.
    os.environ.pop("RAY_SERVE_THROUGHPUT_OPTIMIZED", None)
