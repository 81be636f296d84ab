"""The file in which a running local stack leaves addresses and secrets of its parts, and Ray's variables in it.

Apart from :mod:`app.settings`, because Ray reads its environment when it is imported: a job imports this first.
"""

from __future__ import annotations

import os
from pathlib import Path

PREFIX = "TIDEGATE_"
STACK_FILE = "stack.env"


def stack_file() -> Path:
    """Returns the path of the file of the state folder in force."""
    return Path(os.environ.get(f"{PREFIX}STATE_DIR", ".tidegate")) / STACK_FILE


def adopt_ray_environment() -> None:
    """Set the ``RAY_*`` variables that the local stack left for drivers, where the environment has none."""
    if not stack_file().is_file():
        return
    from dotenv import dotenv_values

    for name, value in dotenv_values(stack_file(), interpolate=False).items():
        if name.startswith("RAY_") and value:
            os.environ.setdefault(name, value)
