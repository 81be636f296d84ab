"""The kinds of records: each has streams of its own, one per model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from app.events import label, prediction
from app.events.event_log import R


@dataclass(frozen=True, slots=True)
class EventKind(Generic[R]):
    """One kind.

    Attributes:
        name: of its streams.
        decode: the record of some bytes; None where they are none.
    """

    name: str
    decode: Callable[[bytes], R | None]

    @property
    def models(self) -> str:
        """The Redis key of the models that have a stream."""
        return f"tidegate:{{{self.name}}}"

    def stream(self, model: str) -> str:
        """The Redis key of a model's stream; its hash tag keeps all that belongs to the model in one slot of a Redis
        Cluster."""
        return f"tidegate:{self.name}:{{{model}}}"


PREDICTIONS = EventKind("events", prediction.decode)
LABELS = EventKind("labels", label.decode)
