"""The observer of requests during a release: samples are made of them, at once or after the mirror."""

from __future__ import annotations

import asyncio

from app.gateway.inference.request_record import RequestRecord
from app.gateway.shadow.losses import arm_of, of_request
from app.gateway.shadow.mirror import Mirror
from app.monitoring.samples import LossBuffer


class Observer:
    """Turns the records of one gateway replica into samples, or hands them to the mirror."""

    def __init__(self, losses: LossBuffer, mirror: Mirror) -> None:
        self._losses, self._mirror = losses, mirror

    def observe(self, record: RequestRecord) -> None:
        """Takes a request that is through, in the loop's next turn: by then the reply is out."""
        asyncio.get_running_loop().call_soon(self._note, record)

    def _note(self, record: RequestRecord) -> None:
        """Records a request; one that is mirrored, when both versions are through."""
        release_context, arm = record.release_context, arm_of(record)
        if release_context is None or arm is None:
            return
        if arm == "champion" and release_context.mirror and self._mirror.offer(release_context, record):
            return
        self._losses.add(release_context.release, of_request(release_context, record, arm))
