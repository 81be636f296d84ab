"""Joins the labels of one model while one release is judged by them."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.events import EventLogError, EventSink, Label, LogEntry, Prediction
from app.monitoring.labels.index import JoinOutcome, LabelIndex, PendingRecord
from app.monitoring.labels.joined_release import JoinedRelease, QualityLoss
from app.monitoring.labels.judged_prediction import JudgedPrediction, judged_prediction
from app.monitoring.labels.loss import loss_of
from app.monitoring.labels.tally import Tally
from app.monitoring.sums import Arm, Metric
from app.periodic import Periodic
from app.redis_client import is_temporary
from app.settings import LabelSettings

log = logging.getLogger(__name__)

Deliver = Callable[[str, int, Metric, Arm, float], None]
"""Takes one loss: release, tick (epoch second of the join), metric, arm, loss in 0 to 1.

The metric's name holds the challenger's weight at the prediction, ``quality/0.05``: what is joined in one second was
predicted over a long time, whose base rates differ, and only predictions of one weight are shared out alike."""

GROUP_PREFIX = "join:"
"""Beginning of the groups' names. What follows is the release's id, and these sort by the time of their start."""
BATCH = 128
"""Records read, and taken in, together."""
AHEAD = 16
"""Batches of predictions that go before a batch of labels while predictions are behind: a label that finds its
prediction need not wait, and one by entity must not find an older prediction than it means."""
WAIT_S = 1.0
SWEEP_S = 1.0
"""Interval of the look for what is over, and for what a lost process left, seconds."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between tries while Redis is away, doubling; seconds."""


class ReleaseJoin:
    """The join of one model's labels with its predictions, for one release.

    Records are read at least once, a loss is delivered at most once: the index reports a join only to the consumer
    whose record made it. A loss that was delivered and not stored when the process was lost is gone, and nothing is
    counted twice. That holds for a Redis that keeps what it acknowledged (appendonly), not for one that comes back
    older than it was.

    Args:
        sink: of the predictions and labels.
        redis: of the index.
        timeout_s: deadline of one call of the index, seconds.
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(
        self,
        sink: EventSink,
        redis: Redis,
        settings: LabelSettings,
        timeout_s: float,
        model: str,
        release: JoinedRelease,
        quality: QualityLoss,
        deliver: Deliver,
        tally: Tally,
        now_us: Callable[[], int],
    ) -> None:
        self.release = release.release
        self._model, self._context, self._quality = model, release, quality
        self._settings, self._deliver, self._tally, self._now_us = settings, deliver, tally, now_us
        member = secrets.token_hex(6)
        self._group = f"{GROUP_PREFIX}{release.release}"
        self._consumer = sink.consumer(model, self._group, member)
        self._index = LabelIndex(redis, settings, model, release.release, member, timeout_s)
        self._since_us: int | None = None
        self._predictions: list[PendingRecord] = []
        self._labels: list[PendingRecord] = []
        self._unacknowledged: list[PendingRecord] = []
        self._next_sweep = 0.0
        self._rounds = Periodic(
            f"joining the labels of {model}",
            self._try_round,
            0.0,
            expected=(RedisError, OSError, EventLogError),
            consequence="they are joined once it works again",
            retry_s=(FIRST_PAUSE_S, LONGEST_PAUSE_S),
        )
        self._forget = False
        self.behind_s = 0.0

    def stop(self, forget: bool) -> None:
        """Lets :meth:`run` end after the round under way.

        Args:
            forget: the release is over, and with it what is kept for it in Redis.
        """
        self._forget = forget
        self._rounds.request_stop()

    async def run(self) -> None:
        """Joins until :meth:`stop`; while Redis is away, tries again."""
        await self._rounds.run()
        if self._forget:
            with suppress(RedisError, OSError, EventLogError):  # what stays behind expires
                await self._consumer.drop()
                await self._index.drop()

    async def _try_round(self) -> None:
        try:
            await self._round()
        except Exception:
            if not self._rounds.stopping:  # else the next release's join may have removed the group
                self._tally.add("failures")
            self._since_us = None  # what Redis knew of the groups may be gone
            raise

    async def _round(self) -> None:
        if self._since_us is None:
            since_us = await self._index.started(self._now_us())
            await self._consumer.open(since_us, self._is_of_earlier_release)
            self._since_us = since_us
        await self._acknowledge()  # of a round that failed: a record must not be claimed again, nor be joined twice
        await self._take_in(self._predictions)
        await self._take_in(self._labels)
        if time.monotonic() >= self._next_sweep:
            await self._sweep()
        read = await self._consumer.read(BATCH, WAIT_S)
        self._predictions = self._of_predictions(read.predictions)
        self._labels = self._of_labels(read.labels)
        await self._take_in(self._predictions)
        last = read.predictions
        for _ in range(AHEAD):
            if len(last) < BATCH or self._rounds.stopping:
                break
            last = await self._consumer.read_predictions(BATCH)
            self._predictions = self._of_predictions(last)
            await self._take_in(self._predictions)
        await self._take_in(self._labels)
        self.behind_s = max(self._behind_s(last), self._behind_s(read.labels))

    def _is_of_earlier_release(self, group: str) -> bool:
        return group.startswith(GROUP_PREFIX) and group < self._group

    def _behind_s(self, entries: list[LogEntry[Prediction]] | list[LogEntry[Label]]) -> float:
        """The age of the last record of a full batch, seconds."""
        record = entries[-1].record if len(entries) >= BATCH else None
        return 0.0 if record is None else max((self._now_us() - record.at) / 1e6, 0.0)

    async def _sweep(self) -> None:
        unmatched, expired = await self._index.sweep(self._now_us())
        self._tally.add("unmatched", unmatched)
        self._tally.add("expired", expired)
        claimed = await self._consumer.claim(self._settings.claim_after_s, BATCH)
        self._tally.add("trimmed", claimed.trimmed)
        self._predictions = self._of_predictions(claimed.predictions)
        self._labels = self._of_labels(claimed.labels)
        await self._take_in(self._predictions)
        await self._take_in(self._labels)
        self._next_sweep = time.monotonic() + SWEEP_S

    def _of_predictions(self, entries: list[LogEntry[Prediction]]) -> list[PendingRecord]:
        return [self._of_prediction(entry.position, entry.record) for entry in entries]

    def _of_prediction(self, position: str, record: Prediction | None) -> PendingRecord:
        assert self._since_us is not None
        if record is None or record.at < self._since_us:
            self._tally.add("unreadable" if record is None else "before")
            return PendingRecord("prediction", position)
        found = judged_prediction(record, self._context, self._quality.output)
        answer, counter = (found, "indexed") if isinstance(found, JudgedPrediction) else (None, found)
        return self._index.prediction(position, record, answer, counter, self._now_us(), record.mirrored)

    def _of_labels(self, entries: list[LogEntry[Label]]) -> list[PendingRecord]:
        return [self._of_label(entry.position, entry.record) for entry in entries]

    def _of_label(self, position: str, record: Label | None) -> PendingRecord:
        assert self._since_us is not None
        if record is None:
            self._tally.add("unreadable")
            return PendingRecord("label", position)
        about = record.predicted_at
        if about is not None and about < self._since_us - int(self._settings.tolerance_s * 1e6):
            self._tally.add("before")
            return PendingRecord("label", position)
        return self._index.label(position, record, self._now_us())

    async def _take_in(self, records: list[PendingRecord]) -> None:
        """Takes in, acknowledges and removes all ``records``.

        Raises:
            RedisError, OSError, EventLogError: those that are left must be taken in again.
        """
        while records:
            batch = records[:BATCH]
            outcomes = await self._index.take_in(batch)
            left: list[PendingRecord] = []
            failure: Exception | None = None
            for record, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception) and is_temporary(outcome):
                    left.append(record)
                    failure = outcome
                    continue
                if isinstance(outcome, Exception):
                    log.error("a %s of %s cannot be joined: %s", record.kind, self._model, outcome)
                    self._tally.add("refused")
                self._unacknowledged.append(record)
            records[:BATCH] = left  # before anything is delivered, which must not happen again
            for record, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, JoinOutcome):
                    self._hand_on(record, outcome)
            if failure is not None:
                raise failure
            await self._acknowledge()

    async def _acknowledge(self) -> None:
        if self._unacknowledged:
            done = self._unacknowledged
            await self._consumer.acknowledge(
                [record.position for record in done if record.kind == "prediction"],
                [record.position for record in done if record.kind == "label"],
            )
            self._unacknowledged = []

    def _hand_on(self, call: PendingRecord, outcome: JoinOutcome) -> None:
        self._tally.add("unmatched", outcome.unmatched)
        if outcome.status in ("indexed", "joined"):
            if call.counter:
                self._tally.add(call.counter)
        else:
            self._tally.add(outcome.status)
        tick = self._now_us() // 1_000_000
        for answer in outcome.answers:
            if answer is None:
                self._tally.add("unjudged")
                continue
            self._tally.add("joined")
            loss = loss_of(self._quality, answer.value, outcome.label)
            self._deliver(self.release, tick, f"quality/{answer.weight:g}", answer.arm, loss)
