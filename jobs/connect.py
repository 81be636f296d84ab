"""A job's connections to the Ray cluster (the one it was submitted to, the one configured, or one of its own) and the
gateway on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.serve.handle import DeploymentHandle

from app.routing.readback import gateway_handle
from app.settings import RaySettings


@contextmanager
def gateway(app_name: str) -> Iterator[DeploymentHandle[Any]]:
    """Yields the gateway's handle for the block's duration; left open, it calls Ray even after Ray is shut down."""
    handle = gateway_handle(app_name)
    try:
        yield handle
    finally:
        handle.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def cluster(settings: RaySettings) -> Iterator[None]:
    """A connection for the block's duration.

    A submitted job and a command beside a running local stack find its address; with neither, Ray starts on this
    machine and ends with the block. A caller that is connected stays so.
    """
    if ray.is_initialized():
        yield
        return
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
