"""The predictions and labels of a release that are known so far, in Redis: where they meet.

One hash holds a row per request id, a list their order, a sorted set finds them by entity and time; labels that came
before their prediction wait in a list and, those by entity, in a sorted set. The scripts say how it changes.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.events import Label, Prediction
from app.monitoring.labels import scripts
from app.monitoring.labels.judged_prediction import JudgedPrediction
from app.monitoring.sums import Arm
from app.settings import LabelSettings

RETENTION_FACTOR = 1.25
"""Multiple of the time in which a label counts for which its prediction is kept, so that a late label is known."""
SWEEP_BATCH = 256
"""Most entries that one call of the sweep removes: Redis does nothing else meanwhile."""

JoinStatus = Literal["indexed", "joined", "repeated", "reused", "full", "early", "duplicates", "late"]

_ARMS: dict[Arm, str] = {"challenger": "c", "champion": "s"}
_NO_ARM = "x"
_ARMS_BACK: dict[bytes, Arm] = {code.encode(): arm for arm, code in _ARMS.items()}
_LABEL = struct.Struct("<d")
_VALUE = struct.Struct("<dd")  # and weight


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """One record that is read and not acknowledged yet.

    Attributes:
        kind: of the record; position: its entry's.
        script: takes it into the index; None for a record that is passed over.
        counter: name of the counter of a prediction that the index takes.
    """

    kind: Literal["prediction", "label"]
    position: str
    script: AsyncScript | None = None
    args: tuple[str | int | bytes, ...] = ()
    counter: str = ""


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """The result of taking in one record.

    Attributes:
        unmatched: labels that waited, and for which there was no more room.
        label: of the join.
        answers: each prediction that it joined; None for one that no label judges.
    """

    status: JoinStatus
    unmatched: int
    label: float
    answers: tuple[JudgedPrediction | None, ...]


class LabelIndex:
    """The index of one release. Every method raises ``RedisError`` or ``OSError`` when Redis is away.

    Args:
        redis: a client; its owner closes it.
        consumer: name of this process's consumer, which no other one has.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(
        self, redis: Redis, settings: LabelSettings, model: str, release: str, consumer: str, timeout_s: float
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._consumer = consumer
        self._timeout_s = timeout_s
        base = f"tidegate:join:{{{model}}}:{release}"  # one hash tag: a script's keys lie in one slot
        self._keys = [f"{base}:{name}" for name in ("rows", "order", "entities", "waiting", "early")]
        self._started = f"{base}:started"
        self._prediction = redis.register_script(scripts.PREDICTION)
        self._label = redis.register_script(scripts.LABEL)
        self._sweep = redis.register_script(scripts.SWEEP)

    async def started(self, now_us: int) -> int:
        """The instant, microseconds, at which any process first joined for the release; ``now_us`` for the first."""
        async with asyncio.timeout(self._timeout_s):
            held = await self._redis.set(self._started, now_us, nx=True, get=True, ex=self._kept_s())
        return now_us if held is None else int(held)

    def prediction(
        self,
        position: str,
        record: Prediction,
        answer: JudgedPrediction | None,
        counter: str,
        now_us: int,
        mirrored: bool = False,
    ) -> PendingRecord:
        """The record that takes a prediction in; ``answer`` is None where no label judges it."""
        args = (
            *self._common("p", position, now_us),
            self._settings.max_predictions,
            record.request_id,
            2 if mirrored else 1,
            record.at,
            record.sticky,
            _ARMS[answer.arm] if answer is not None else _NO_ARM,
            _VALUE.pack(answer.value, answer.weight) if answer is not None else b"",
        )
        return PendingRecord("prediction", position, self._prediction, args, counter)

    def label(self, position: str, record: Label, now_us: int) -> PendingRecord:
        """The record that takes a label in."""
        args = (
            *self._common("l", position, now_us),
            self._settings.max_waiting,
            record.request_id or "",
            record.sticky or "",
            record.predicted_at or 0,
            _LABEL.pack(record.label),
        )
        return PendingRecord("label", position, self._label, args)

    async def take_in(self, records: Sequence[PendingRecord]) -> list[JoinOutcome | Exception | None]:
        """Takes in the records by one pipeline. The same ones may be taken in again when there was no answer.

        Returns:
            For each its outcome, None if it is passed over, or the error of that record alone.
        """
        async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                if record.script is not None:
                    await record.script(self._keys, record.args, client=pipe)
            answers = iter(await pipe.execute(raise_on_error=False))
        outcomes: list[JoinOutcome | Exception | None] = []
        for record in records:
            answer = None if record.script is None else next(answers)
            outcomes.append(answer if answer is None or isinstance(answer, Exception) else _outcome(answer))
        return outcomes

    async def sweep(self, now_us: int) -> tuple[int, int]:
        """Removes what is over. Returns how many labels found no prediction, how many predictions were too old."""
        unmatched = expired = 0
        known_before = now_us - _us(self._settings.wait_s)
        predicted_before = now_us - _us(self._settings.ttl_s * RETENTION_FACTOR)
        while True:
            async with asyncio.timeout(self._timeout_s):
                found = await self._sweep(
                    [*self._keys, self._started],
                    [known_before, predicted_before, SWEEP_BATCH, self._kept_s()],
                )
            unmatched += found[0]
            expired += found[1]
            if max(found) < SWEEP_BATCH:
                return unmatched, expired

    async def drop(self) -> None:
        """Deletes the index."""
        async with asyncio.timeout(self._timeout_s):
            await self._redis.unlink(*self._keys, self._started)

    def _common(self, kind: str, position: str, now_us: int) -> tuple[str | int, ...]:
        token = f"{kind}{position} {self._consumer}"
        settings = self._settings
        return token, now_us, _us(settings.ttl_s), _us(settings.tolerance_s)

    def _kept_s(self) -> int:
        return int(self._settings.ttl_s * RETENTION_FACTOR) + 3600  # longer than the oldest row is kept


def _outcome(answer: Any) -> JoinOutcome:
    status, unmatched, label, *found = answer
    return JoinOutcome(
        status.decode(),
        unmatched,
        _LABEL.unpack(label)[0] if label else 0.0,
        tuple(
            JudgedPrediction(_ARMS_BACK[arm], *_VALUE.unpack(value)) if arm in _ARMS_BACK else None
            for arm, value in zip(found[::2], found[1::2], strict=True)
        ),
    )


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
