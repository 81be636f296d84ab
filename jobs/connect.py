"""How a job reaches the Ray cluster: the one it was submitted to, the one configured, or one of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from app.settings import RaySettings


@contextmanager
def cluster(settings: RaySettings) -> Iterator[None]:
    """A connection for the block's duration.

    A submitted job and a command beside a running local stack find its address; with neither, Ray starts on this
    machine and ends with the block.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    address = os.environ.get("RAY_ADDRESS") or (settings.address if settings.address != "auto" else None)
    ray.init(
        address=address or "local",
        namespace=settings.namespace,
        logging_level=logging.WARNING,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
