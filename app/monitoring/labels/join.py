"""The join of labels with predictions, of every model whose release is judged by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from redis.asyncio import Redis

from app.events.redis_streams import event_redis
from app.monitoring.labels.follower import Deliver, Follower
from app.monitoring.labels.joined_release import Trial
from app.monitoring.labels.tally import JoinStats, Tally
from app.monitoring.metrics import Counts, Levels
from app.periodic import Periodic
from app.settings import Settings

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""


class LabelJoin:
    """One process', for all models. All methods belong to one event loop.

    Args:
        redis: of the event streams (``app.events.event_redis``), a client of its own, closed by :meth:`stop`.
        deliver: takes each loss, at once.
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(self, redis: Redis, settings: Settings, deliver: Deliver, now_us: Callable[[], int]) -> None:
        self._redis = redis
        self._settings = settings.labels
        self._timeout_s = event_redis(settings).timeout_s
        self._deliver = deliver
        self._now_us = now_us
        self._tally = Tally()
        self._followers: dict[str, Follower] = {}
        self._running: dict[Follower, asyncio.Task[None]] = {}
        self._counts = Counts("tidegate_label_join", "What the join of labels counts", "outcome")
        self._behind = Levels(
            "tidegate_label_join_behind_seconds", "Age of what is read last while it does not keep up", "model"
        )
        self._publishing = Periodic("publishing the counters of the label join", self._publish, PUBLISH_S)

    def start(self) -> None:
        """Begin, on the running loop."""
        self._publishing.start()

    async def stop(self) -> None:
        """End; what is kept in Redis stays for whoever follows the releases next. Waits for one deadline of Redis."""
        for follower in self._followers.values():
            follower.stop(forget=False)
        self._followers.clear()
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self._timeout_s)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._publishing.stop()
        await self._publish()
        await self._redis.aclose()

    def follow(self, model: str, trial: Trial | None) -> None:
        """Join the labels of a model for a trial; with None, or one that no label judges, for none. To call it again
        with the same changes nothing, and another release ends the one before."""
        quality = trial.quality if trial is not None else None
        held = self._followers.get(model)
        if held is not None:
            if trial is not None and quality is not None and held.release == trial.release:
                return
            self._followers.pop(model).stop(forget=True)
        if trial is None or quality is None:
            return
        follower = self._followers[model] = Follower(
            self._redis,
            self._settings,
            self._timeout_s,
            model,
            trial,
            quality,
            self._deliver,
            self._tally,
            self._now_us,
        )
        task = self._running[follower] = asyncio.create_task(follower.run())
        task.add_done_callback(lambda _: self._running.pop(follower, None))

    def stats(self) -> JoinStats:
        """Counts since the start."""
        return self._tally.stats()

    async def _publish(self) -> None:
        self._counts.publish(asdict(self.stats()))
        self._behind.publish({(model,): follower.behind_s for model, follower in self._followers.items()})
