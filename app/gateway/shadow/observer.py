"""Takes every request to a model that has a release to where it counts: the samples, or first the mirror."""

from __future__ import annotations

import asyncio

from app.gateway.inference.request_record import Served
from app.gateway.shadow.losses import arm_of, of_request
from app.gateway.shadow.mirror import Mirror
from app.monitoring.samples import LossBuffer


class Observer:
    """One gateway replica's."""

    def __init__(self, losses: LossBuffer, mirror: Mirror) -> None:
        self._losses, self._mirror = losses, mirror

    def observe(self, served: Served) -> None:
        """Take a request that is through, in the loop's next turn: by then the reply is out."""
        asyncio.get_running_loop().call_soon(self._note, served)

    def _note(self, served: Served) -> None:
        """Note it down; one that is mirrored, when both versions are through."""
        trial, arm = served.trial, arm_of(served)
        if trial is None or arm is None:
            return
        if arm == "champion" and trial.mirror and self._mirror.offer(trial, served):
            return
        self._losses.add(trial.release, of_request(trial, served, arm))
