"""What an event log does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.errors import UnavailableError


class Record(Protocol):
    """What is published: a prediction, or a label."""

    @property
    def model(self) -> str:
        """The registered model that it belongs to."""

    def encode(self) -> bytes:
        """Its bytes.

        Raises:
            TypeError, ValueError, OverflowError: it has none.
        """


R = TypeVar("R", bound=Record)


class EventLogError(UnavailableError):
    """The log is away or did not answer in time; of what was being published nothing is known."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """One record in the log.

    Attributes:
        position: where it is; positions of a model only grow.
        record: None where the bytes are not a record that this release can read.
    """

    position: str
    record: R | None


class EventLog(Protocol[R]):
    """Records of one kind by model, in the order of their arrival, kept up to a bound.

    At least once: a batch whose reply was lost is sent again, so a record may be there twice, with one event id.
    """

    async def publish(self, records: Sequence[R]) -> int:
        """Append the records, each to its model's. Returns how many of them the log will never take.

        Raises:
            EventLogError: some may be appended and some not: send all of them again.
        """

    async def read(self, model: str, after: str, count: int, wait_s: float) -> list[Entry[R]]:
        """The next records of a model, oldest first.

        Args:
            after: the position behind which to read.
            count: most records returned.
            wait_s: how long to wait for a first one, seconds; 0 for not at all.

        Raises:
            EventLogError: the log is away.
        """
