"""The protocols of an event sink: logs to publish to and to read, and consumers that share the reading.

The publishers, ``tidegate events`` and the join of labels (``app.monitoring.labels``) use a sink by these alone; the
join's own index is in Redis whatever the sink (``redis_streams.event_redis``). A sink of another kind implements
these and is entered in ``app.events.sinks.SINKS``.

Positions and the names of groups are opaque outside of a sink: they are only compared for equality, stored and handed
back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.errors import UnavailableError
from app.events.label import Label
from app.events.prediction import Prediction


class Record(Protocol):
    """A published record: a prediction, or a label."""

    @property
    def model(self) -> str:
        """The registered model that it belongs to."""

    def encode(self) -> bytes:
        """Its bytes.

        Raises:
            TypeError, ValueError, OverflowError: it has none.
        """


R = TypeVar("R", bound=Record)
R_contra = TypeVar("R_contra", bound=Record, contravariant=True)


class EventLogError(UnavailableError):
    """The sink is away or did not answer in time; of what was being published nothing is known."""


@dataclass(frozen=True, slots=True)
class LogEntry(Generic[R]):
    """One record in the log.

    Attributes:
        position: its place among the model's records.
        record: None where the bytes are not a record that this release can read.
    """

    position: str
    record: R | None


class EventWriter(Protocol[R_contra]):
    """The part of an event log that publishers use."""

    async def publish(self, records: Sequence[R_contra]) -> int:
        """Appends the records, each to its model's. Returns how many of them the log will never take.

        Raises:
            EventLogError: some may be appended and some not: send all of them again.
        """


class EventLog(EventWriter[R], Protocol[R]):
    """Records of one kind by model, in the order of their arrival, kept up to a bound.

    At least once: a batch whose reply was lost is sent again, so a record may be there twice, with one event id.
    Every coroutine raises :class:`EventLogError` while the sink is away.
    """

    @property
    def start(self) -> str:
        """The position before every record."""

    def parse_position(self, text: str) -> str:
        """A position that a person typed.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """

    async def read(self, model: str, after: str, count: int, wait_s: float) -> list[LogEntry[R]]:
        """The next records of a model, oldest first.

        Args:
            after: the position behind which to read.
            count: most records returned.
            wait_s: longest wait for a first one, seconds; 0 for none.
        """

    async def newest(self, model: str) -> str:
        """The position of a model's newest record; the start's where there is none."""

    async def models(self) -> list[str]:
        """Models that have records, by name."""


@dataclass(frozen=True, slots=True)
class ReadEntries:
    """Entries of a model's predictions and labels, oldest first.

    Attributes:
        trimmed: entries that the sink had let go of before they were acknowledged.
    """

    predictions: list[LogEntry[Prediction]]
    labels: list[LogEntry[Label]]
    trimmed: int = 0


class EventConsumer(Protocol):
    """One member of a group that reads a model's predictions and labels.

    Each record goes to one member, and stays with it until it is acknowledged; one that is not may be handed to
    another member (:meth:`claim`), and so be read more than once. Every method raises :class:`EventLogError` while
    the sink is away, or has lost the group.
    """

    async def open(self, since_us: int, is_obsolete: Callable[[str], bool]) -> None:
        """Creates the group where it is not there; it begins with the records of an instant.

        Args:
            since_us: microseconds since the epoch.
            is_obsolete: true of the names of this model's groups that are to be removed.
        """

    async def read(self, count: int, wait_s: float) -> ReadEntries:
        """The next entries, up to ``count`` of each kind; waits at most ``wait_s`` seconds for a first one."""

    async def read_predictions(self, count: int) -> list[LogEntry[Prediction]]:
        """The next predictions alone, without waiting."""

    async def claim(self, idle_s: float, count: int) -> ReadEntries:
        """Takes over entries that some member took longer ago than ``idle_s`` and has not acknowledged."""

    async def acknowledge(self, predictions: Sequence[str], labels: Sequence[str]) -> None:
        """Ends the group's interest in the entries at these positions. Idempotent."""

    async def drop(self) -> None:
        """Removes the group."""


class EventSink(Protocol):
    """The place where an installation keeps its events."""

    @property
    def predictions(self) -> EventLog[Prediction]:
        """The log of predictions."""

    @property
    def labels(self) -> EventLog[Label]:
        """The log of labels."""

    def consumer(self, model: str, group: str, member: str) -> EventConsumer:
        """A member of a group; ``member`` is a name that no other process has."""

    async def close(self) -> None:
        """Closes the connections."""
