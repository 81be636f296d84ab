"""What is known of a release's predictions and labels, in the Redis of the streams: where they meet.

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

from app.events import LABELS, PREDICTIONS, Label, Prediction
from app.monitoring.labels import scripts
from app.monitoring.labels.judged_prediction import JudgedPrediction
from app.monitoring.sums import Arm
from app.settings import LabelSettings

RETENTION_FACTOR = 1.25
"""A prediction is kept for so many times the time in which its label counts: a late label is known as such."""
SWEEP_BATCH = 256
"""Most that one call of the sweep lets go of: Redis does nothing else meanwhile."""

JoinStatus = Literal["indexed", "joined", "repeated", "reused", "full", "early", "duplicates", "late"]

_ARMS: dict[Arm, str] = {"challenger": "c", "champion": "s"}
_NO_ARM = "x"
_ARMS_BACK: dict[bytes, Arm] = {code.encode(): arm for arm, code in _ARMS.items()}
_LABEL = struct.Struct("<d")
_VALUE = struct.Struct("<dd")  # and weight


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """One record on its way into the index, or an entry that is only acknowledged (``script`` None).

    Attributes:
        stream: the entry's; position: its.
        counter: the counter of a prediction that the index takes.
    """

    stream: str
    position: str
    script: AsyncScript | None = None
    args: tuple[str | int | bytes, ...] = ()
    counter: str = ""


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """What became of a record.

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
    """One release's. Every method raises ``RedisError`` or ``OSError`` when Redis is away.

    Args:
        group: the consumer groups' name; consumer: who acknowledges.
        timeout_s: deadline of one call, seconds.
    """

    def __init__(
        self,
        redis: Redis,
        settings: LabelSettings,
        model: str,
        release: str,
        group: str,
        consumer: str,
        timeout_s: float,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._group = group
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._predictions, self._labels = PREDICTIONS.stream(model), LABELS.stream(model)
        base = f"tidegate:join:{{{model}}}:{release}"  # the streams' hash tag: a script's keys lie in one slot
        self._keys = [f"{base}:{name}" for name in ("rows", "order", "entities", "waiting", "early")]
        self._started = f"{base}:started"
        self._prediction = redis.register_script(scripts.PREDICTION)
        self._label = redis.register_script(scripts.LABEL)
        self._sweep = redis.register_script(scripts.SWEEP)

    async def started(self, now_us: int) -> int:
        """When the release was first followed, by whomever; now, if it is the first time. Microseconds."""
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
        """What takes a prediction in; ``answer`` is None where no label judges it."""
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
        return PendingRecord(self._predictions, position, self._prediction, args, counter)

    def label(self, position: str, record: Label, now_us: int) -> PendingRecord:
        """What takes a label in."""
        args = (
            *self._common("l", position, now_us),
            self._settings.max_waiting,
            record.request_id or "",
            record.sticky or "",
            record.predicted_at or 0,
            _LABEL.pack(record.label),
        )
        return PendingRecord(self._labels, position, self._label, args)

    def skip_prediction(self, position: str) -> PendingRecord:
        """What passes over an entry."""
        return PendingRecord(self._predictions, position)

    def skip_label(self, position: str) -> PendingRecord:
        """What passes over an entry."""
        return PendingRecord(self._labels, position)

    async def take_in(self, calls: Sequence[PendingRecord]) -> list[JoinOutcome | Exception | None]:
        """Make the calls, by one pipeline. The same ones may be made again when there was no answer.

        Returns:
            For each what became of it, None if it was only acknowledged, or the error of that call alone.
        """
        async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                if call.script is None:
                    pipe.xack(call.stream, self._group, call.position)
                else:
                    await call.script([call.stream, *self._keys], call.args, client=pipe)
            answers = await pipe.execute(raise_on_error=False)
        return [
            answer if isinstance(answer, Exception) else None if call.script is None else _outcome(answer)
            for call, answer in zip(calls, answers, strict=True)
        ]

    async def sweep(self, now_us: int) -> tuple[int, int]:
        """Let go of what is over. Returns how many labels waited in vain, and how many predictions were too old."""
        unmatched = expired = 0
        known_before = now_us - _us(self._settings.wait_s)
        predicted_before = now_us - _us(self._settings.ttl_s * RETENTION_FACTOR)
        while True:
            async with asyncio.timeout(self._timeout_s):
                found = await self._sweep(
                    [self._predictions, *self._keys, self._started],
                    [known_before, predicted_before, SWEEP_BATCH, self._kept_s()],
                )
            unmatched += found[0]
            expired += found[1]
            if max(found) < SWEEP_BATCH:
                return unmatched, expired

    async def drop(self) -> None:
        """Forget all of it."""
        async with asyncio.timeout(self._timeout_s):
            await self._redis.unlink(*self._keys, self._started)

    def _common(self, kind: str, position: str, now_us: int) -> tuple[str | int, ...]:
        token = f"{kind}{position} {self._consumer}"
        settings = self._settings
        return self._group, position, token, now_us, _us(settings.ttl_s), _us(settings.tolerance_s)

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
