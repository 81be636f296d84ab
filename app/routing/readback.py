"""Read-back: which revision of a route table every gateway replica follows."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from app.errors import UnavailableError

log = logging.getLogger(__name__)

GATEWAY_DEPLOYMENT = "Gateway"
FOLLOWED, PLACED = "route_revision", "placed_revision"
"""Methods of a gateway replica that say which revision it follows."""
ROUND_S = 1.0
"""Time one round of questions may take; a replica that hangs must not use up the whole wait."""
_POLL_S = 0.005


class NotFollowedError(UnavailableError):
    """Some gateway replica did not follow a revision in time."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Every one of ``replicas`` gateway replicas was seen at ``revision`` or later, after ``seconds``."""

    revision: int
    replicas: int
    seconds: float


def gateway_handle(app_name: str) -> DeploymentHandle[Any]:
    """The gateway's own handle, for broadcasts."""
    return serve.get_deployment_handle(GATEWAY_DEPLOYMENT, app_name)


async def await_followed(
    gateway: DeploymentHandle[Any], model: str, revision: int, timeout_s: float, ask: str = FOLLOWED
) -> Followed:
    """Waits until every running gateway replica follows ``revision`` of ``model``'s table.

    Args:
        ask: ``FOLLOWED``, or ``PLACED``: with every version loaded where the table places it.

    Raises:
        NotFollowedError: not all did in time; the message says how many.
    """
    started = time.monotonic()
    deadline = started + timeout_s
    seen: list[int] = []
    while (left := deadline - time.monotonic()) > 0:
        try:
            seen = await gateway.broadcast(ask, model).results_async(timeout_s=min(left, ROUND_S))
        except Exception as error:  # a replica that ends in the middle raises whatever ended it
            log.info("read-back of %s: %s; asking again", model, error)
            seen = []
        if seen and min(seen) >= revision:
            return Followed(revision, len(seen), time.monotonic() - started)
        await asyncio.sleep(_POLL_S)
    following = sum(found >= revision for found in seen)
    raise NotFollowedError(
        f"{following} of {len(seen)} gateway replicas follow revision {revision} of {model} after {timeout_s:g} s"
    )
