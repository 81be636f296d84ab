"""Joins the labels of one model while one release is judged by them."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.events import Entry, Label, Prediction
from app.events.redis_streams import is_temporary
from app.monitoring.labels.answer import Answer, answer_of
from app.monitoring.labels.groups import Groups
from app.monitoring.labels.index import Call, Index, Landed
from app.monitoring.labels.joined_release import OutputLoss, Trial
from app.monitoring.labels.loss import loss_of
from app.monitoring.labels.tally import Tally
from app.monitoring.sums import Arm, Metric
from app.periodic import Periodic
from app.settings import LabelSettings

log = logging.getLogger(__name__)

Deliver = Callable[[str, int, Metric, Arm, float], None]
"""Takes one loss: release, tick (epoch second of the join), metric, arm, loss in 0 to 1.

The metric's name holds the challenger's weight at the prediction, ``quality/0.05``: what is joined in one second was
predicted over a long time, whose base rates differ, and only predictions of one weight are shared out alike."""

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


class Follower:
    """One model's, for one release.

    Records are read at least once, a loss is handed on at most once: Redis remembers a join before this process hears
    of it, and tells nobody else. What was handed on and not kept when the process was lost is gone, and nothing is
    counted twice. That holds for a Redis that keeps what it acknowledged (appendonly), not for one that comes back
    older than it was.

    Args:
        redis: of the streams.
        timeout_s: deadline of one call, seconds.
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(
        self,
        redis: Redis,
        settings: LabelSettings,
        timeout_s: float,
        model: str,
        trial: Trial,
        quality: OutputLoss,
        deliver: Deliver,
        tally: Tally,
        now_us: Callable[[], int],
    ) -> None:
        self.release = trial.release
        self._model, self._trial, self._quality = model, trial, quality
        self._settings, self._deliver, self._tally, self._now_us = settings, deliver, tally, now_us
        consumer = secrets.token_hex(6)
        self._groups = Groups(redis, model, trial.release, consumer, timeout_s)
        self._index = Index(redis, settings, model, trial.release, self._groups.name, consumer, timeout_s)
        self._since_us: int | None = None
        self._predictions: list[Call] = []
        self._labels: list[Call] = []
        self._next_sweep = 0.0
        self._rounds = Periodic(
            f"joining the labels of {model}",
            self._try_round,
            0.0,
            expected=(RedisError, OSError),
            consequence="they are joined once it works again",
            retry_s=(FIRST_PAUSE_S, LONGEST_PAUSE_S),
        )
        self._forget = False
        self.behind_s = 0.0

    def stop(self, forget: bool) -> None:
        """Let :meth:`run` end, soon.

        Args:
            forget: the release is over, and with it what is kept for it in Redis.
        """
        self._forget = forget
        self._rounds.request_stop()

    async def run(self) -> None:
        """Joins until :meth:`stop`; while Redis is away, tries again."""
        await self._rounds.run()
        if self._forget:
            with suppress(RedisError, OSError):  # what stays behind expires
                await self._groups.destroy()
                await self._index.drop()

    async def _try_round(self) -> None:
        try:
            await self._round()
        except Exception:
            if not self._rounds.stopping:  # else the next release's follower may have taken the groups away
                self._tally.add("failures")
            self._since_us = None  # what Redis knew of the groups may be gone
            raise

    async def _round(self) -> None:
        if self._since_us is None:
            since_us = await self._index.started(self._now_us())
            await self._groups.create(since_us // 1000)
            self._since_us = since_us
        await self._take_in(self._predictions)  # of a round that failed
        await self._take_in(self._labels)
        if time.monotonic() >= self._next_sweep:
            await self._sweep()
        read = await self._groups.read(BATCH, WAIT_S)
        self._predictions = self._of_predictions(read.predictions)
        self._labels = self._of_labels(read.labels)
        await self._take_in(self._predictions)
        last = read.predictions
        for _ in range(AHEAD):
            if len(last) < BATCH or self._rounds.stopping:
                break
            last = await self._groups.read_predictions(BATCH)
            self._predictions = self._of_predictions(last)
            await self._take_in(self._predictions)
        await self._take_in(self._labels)
        self.behind_s = max(self._behind_s(last), self._behind_s(read.labels))

    def _behind_s(self, entries: list[Entry[Prediction]] | list[Entry[Label]]) -> float:
        """The age of the last entry of a full batch, seconds; positions begin with Redis' clock, milliseconds."""
        if len(entries) < BATCH:
            return 0.0
        return max(time.time() - int(entries[-1].position.split("-")[0]) / 1000, 0.0)

    async def _sweep(self) -> None:
        unmatched, expired = await self._index.sweep(self._now_us())
        self._tally.add("unmatched", unmatched)
        self._tally.add("expired", expired)
        claimed = await self._groups.claim(self._settings.claim_after_s, BATCH)
        self._tally.add("trimmed", claimed.trimmed)
        self._predictions = self._of_predictions(claimed.predictions)
        self._labels = self._of_labels(claimed.labels)
        await self._take_in(self._predictions)
        await self._take_in(self._labels)
        self._next_sweep = time.monotonic() + SWEEP_S

    def _of_predictions(self, entries: list[Entry[Prediction]]) -> list[Call]:
        return [self._of_prediction(entry.position, entry.record) for entry in entries]

    def _of_prediction(self, position: str, record: Prediction | None) -> Call:
        assert self._since_us is not None
        if record is None or record.at < self._since_us:
            self._tally.add("unreadable" if record is None else "before")
            return self._index.skip_prediction(position)
        found = answer_of(record, self._trial, self._quality.output)
        answer, noted_as = (found, "indexed") if isinstance(found, Answer) else (None, found)
        return self._index.prediction(position, record, answer, noted_as, self._now_us(), record.mirrored)

    def _of_labels(self, entries: list[Entry[Label]]) -> list[Call]:
        return [self._of_label(entry.position, entry.record) for entry in entries]

    def _of_label(self, position: str, record: Label | None) -> Call:
        assert self._since_us is not None
        if record is None:
            self._tally.add("unreadable")
            return self._index.skip_label(position)
        about = record.predicted_at
        if about is not None and about < self._since_us - int(self._settings.tolerance_s * 1e6):
            self._tally.add("before")
            return self._index.skip_label(position)
        return self._index.label(position, record, self._now_us())

    async def _take_in(self, calls: list[Call]) -> None:
        """Take in and remove all ``calls``.

        Raises:
            RedisError, OSError: those that are left must be made again.
        """
        while calls:
            batch = calls[:BATCH]
            answers = await self._index.take_in(batch)
            left: list[Call] = []
            failure: Exception | None = None
            for call, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception) and (call.script is None or is_temporary(answer)):
                    left.append(call)
                    failure = answer
                elif isinstance(answer, Exception):
                    log.error("a record of %s cannot be joined: %s", call.stream, answer)
                    self._tally.add("refused")
                    left.append(Call(call.stream, call.position))
            calls[:BATCH] = left  # before anything is handed on, which must not happen again
            for call, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Landed):
                    self._note(call, answer)
            if failure is not None:
                raise failure

    def _note(self, call: Call, landed: Landed) -> None:
        self._tally.add("unmatched", landed.unmatched)
        if landed.status in ("indexed", "joined"):
            if call.noted_as:
                self._tally.add(call.noted_as)
        else:
            self._tally.add(landed.status)
        tick = self._now_us() // 1_000_000
        for answer in landed.answers:
            if answer is None:
                self._tally.add("unjudged")
                continue
            self._tally.add("joined")
            loss = loss_of(self._quality, answer.value, landed.label)
            self._deliver(self.release, tick, f"quality/{answer.weight:g}", answer.arm, loss)
