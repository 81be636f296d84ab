"""``jobs.train`` beside the worker node that it was submitted to, as in a pod.

A driver connects to a Ray node of its own machine, and where there are several it prefers the head. A pod has one;
here all are on one machine, so this connects by the temp dir of the node whose environment it has inherited.
"""

from __future__ import annotations

import os
import sys

import ray

from app.settings import get_settings
from jobs.cli import main as tidegate
from tests.support.ray_cluster import TEMP_DIR


def main(argv: list[str]) -> int:
    """Connect, train, leave."""
    ray.init(
        address=os.environ["RAY_ADDRESS"],
        namespace=get_settings().ray.namespace,
        log_to_driver=False,
        _temp_dir=os.environ[TEMP_DIR],
    )
    try:
        return tidegate(["train", *argv])
    finally:
        ray.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
