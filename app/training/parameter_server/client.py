"""A worker's side of the servers: what both protocols share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import ray

from app.training.parameter_server.job import Terms
from app.training.parameter_server.shard import Floats

GRACE_S = 30.0
"""A server's own deadline comes first: its error names the ranks that it waits for."""


class Client(Protocol):
    """One rank's exchange with the servers. All calls raise ``RayActorError`` or ``ObjectLostError`` when a server is
    gone, and Ray's error around ``ParameterServerError`` when one has waited too long."""

    def begin(self) -> int:
        """The step to go on from."""

    def pull(self, step: int, into: Floats) -> None:
        """The parameters to compute ``step`` with, as soon as they may be had; float32, shape (total,)."""

    def push_pull(self, step: int, gradient: Floats, loss: float, into: Floats) -> None:
        """Hands over the gradient of ``step``, float32, shape (total,), the caller's to reuse on return, and gets the
        parameters for the step after it."""


class Servers:
    """The handles of all servers, called together."""

    def __init__(self, handles: Sequence[Any], terms: Terms) -> None:
        self._handles, self._ranges = tuple(handles), terms.ranges
        self._timeout_s = terms.deadline_s + GRACE_S

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """The same call to every server; their answers, in order."""
        return self._get([getattr(handle, method).remote(*arguments) for handle in self._handles])

    def send(self, method: str, rank: int, step: int, gradient: Floats, *rest: Any) -> list[Any]:
        """A call with each server's range of ``gradient``, copied once, into the object store."""
        slices = [gradient[place.positions] for place in self._ranges]
        calls = zip(self._handles, slices, strict=True)
        return self._get([getattr(handle, method).remote(rank, step, part, *rest) for handle, part in calls])

    def copy(self, published: list[Any], into: Floats) -> None:
        """Every server's range, read in place from the object store and copied once, to where it belongs."""
        for place, values in zip(self._ranges, self._get(published), strict=True):
            into[place.positions] = values

    def _get(self, references: list[Any]) -> list[Any]:
        answers: list[Any] = ray.get(references, timeout=self._timeout_s)
        return answers
