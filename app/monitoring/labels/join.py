"""The join of labels with predictions, of every model whose release is judged by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from redis.asyncio import Redis

from app.events import EventSink
from app.monitoring.labels.joined_release import JoinedRelease
from app.monitoring.labels.release_join import Deliver, ReleaseJoin
from app.monitoring.labels.tally import JoinStats, Tally
from app.monitoring.metrics import Counts, Levels
from app.periodic import Periodic
from app.settings import Settings

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""


class LabelJoin:
    """The join of labels in one process, for all models. All methods belong to one event loop.

    Args:
        sink: of the predictions and labels, closed by :meth:`stop`.
        redis: of the indexes (``app.events.event_redis``), a client of its own, closed by :meth:`stop`.
        deliver: takes each loss, at once.
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(
        self, sink: EventSink, redis: Redis, settings: Settings, deliver: Deliver, now_us: Callable[[], int]
    ) -> None:
        self._sink = sink
        self._redis = redis
        self._settings = settings.labels
        self._timeout_s = settings.redis.timeout_s
        self._deliver = deliver
        self._now_us = now_us
        self._tally = Tally()
        self._joins: dict[str, ReleaseJoin] = {}
        self._running: dict[ReleaseJoin, asyncio.Task[None]] = {}
        self._counts = Counts("tidegate_label_join", "What the join of labels counts", "outcome")
        self._behind = Levels(
            "tidegate_label_join_behind_seconds", "Age of what is read last while it does not keep up", "model"
        )
        self._publishing = Periodic("publishing the counters of the label join", self._publish, PUBLISH_S)

    def start(self) -> None:
        """Begins, on the running loop."""
        self._publishing.start()

    async def stop(self) -> None:
        """Ends within about one deadline of Redis; the indexes there stay for the next process that joins."""
        for join in self._joins.values():
            join.stop(forget=False)
        self._joins.clear()
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self._timeout_s)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._publishing.stop()
        await self._publish()
        await self._sink.close()
        await self._redis.aclose()

    def join_release(self, model: str, release: JoinedRelease | None) -> None:
        """Joins the labels of a model for its release; with None, or a release that no label judges, for none.

        The same release again changes nothing, and another one ends the one before.
        """
        quality = release.quality if release is not None else None
        held = self._joins.get(model)
        if held is not None:
            if release is not None and quality is not None and held.release == release.release:
                return
            self._joins.pop(model).stop(forget=True)
        if release is None or quality is None:
            return
        join = self._joins[model] = ReleaseJoin(
            self._sink,
            self._redis,
            self._settings,
            self._timeout_s,
            model,
            release,
            quality,
            self._deliver,
            self._tally,
            self._now_us,
        )
        task = self._running[join] = asyncio.create_task(join.run())
        task.add_done_callback(lambda _: self._running.pop(join, None))

    def stats(self) -> JoinStats:
        """Counts since the start."""
        return self._tally.stats()

    async def _publish(self) -> None:
        self._counts.publish(asdict(self.stats()))
        self._behind.publish({(model,): join.behind_s for model, join in self._joins.items()})
