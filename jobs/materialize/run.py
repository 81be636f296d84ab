"""The filling of the online feature store: rows as of an instant, then the events from there on."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.errors import TidegateError
from app.exit_codes import STOPPED
from app.features import (
    EventStore,
    FeatureCheckpoint,
    FeatureStoreError,
    Materialized,
    OnlineStore,
    Registration,
    Replayer,
    materialize,
)
from app.features.materialization import SECOND, MaterializationProgress
from app.features.replay import replay_digest
from app.ray_internals import NOISY_LOGGERS
from app.routing.route_store import connect
from app.settings import Settings
from app.terminal import Progress, console
from jobs.connect import cluster
from jobs.materialize.request import Request
from jobs.signals import stopped_by_signals

STEP_S = 0.25
"""Wall time between the steps of a replay, seconds."""
TRIES_S = 60.0
"""Time that a replay waits for a Redis that does not answer before it gives up, seconds."""


class StoppedError(TidegateError):
    """The job was asked to stop before all rows were written."""

    exit_code = STOPPED

    def __init__(self, parts_done: int, parts: int) -> None:
        super().__init__(
            f"stopped with {parts_done} of {parts} parts done; without --fresh this command goes on from there"
        )
        self.parts_done, self.parts = parts_done, parts


def run(request: Request, settings: Settings) -> dict[str, Any]:
    """Write the rows, then replay the events if that is asked for; returns the job's result.

    Raises:
        StoppedError: a signal came before all rows were written.
        FeatureStoreError, EventStoreError, RegistrationError, RayError, OSError: it failed.
    """
    for name, level in NOISY_LOGGERS["data"].items():
        logging.getLogger(name).setLevel(level)
    with cluster(settings.ray), stopped_by_signals() as stop, Progress(console()) as progress:
        return asyncio.run(fill(request, settings, stop, progress))


async def fill(request: Request, settings: Settings, stop: threading.Event, progress: Progress) -> dict[str, Any]:
    """Connect to Redis and do it; raises as :func:`run`."""
    redis = connect(settings.redis)
    try:
        store = OnlineStore(redis, settings.features.write_timeout_s)
        checkpoint = FeatureCheckpoint(redis, store, settings.features.clock_lease_s)
        events = await asyncio.to_thread(_write_events, request, settings.features.storage, progress)
        await Registration(redis, store).register(
            [view.declaration for view in request.views], replace=request.replace
        )
        if request.fresh:
            await checkpoint.forget()
            progress.say(f"removed {sum([await store.clear(view.declaration) for view in request.views]):,} rows")
        start, replayed = await _start(request, events, store, checkpoint, progress)
        progress.say(f"rows as of {_text(start)}")

        def report(done: MaterializationProgress) -> None:
            if stop.is_set() and done.parts_done < done.parts:
                raise StoppedError(done.parts_done, done.parts)
            progress.show(f"{done.parts_done}/{done.parts} parts  {done.rows:,} rows")

        done = await materialize(request.views, events, start, store, checkpoint, replayed, report)
        _print_rows(done, progress)
        if request.serve:
            progress.show("reading the events up to there")
            replayer = await asyncio.to_thread(Replayer, request.views, events, start, store, checkpoint)
            await _serve(replayer, request, stop, progress)
            start = replayer.position
        elif replayed:
            await checkpoint.move(start * SECOND, 0.0, replay_digest(request.views, events))
        return {
            "views": {name: asdict(written) for name, written in done.views.items()},
            "parts": done.parts,
            "parts_before": done.parts_before,
            "events": events.url,
            "instant": _text(start),
        }
    finally:
        await redis.aclose()


def _write_events(request: Request, storage: str, progress: Progress) -> EventStore:
    """Writes the sources of the views that are not stored yet, and returns where a recipe's events lie."""
    recipe = request.recipe
    events = EventStore.of(storage, recipe.name, recipe.events_version)
    absent = [source for source in {view.source: None for view in request.views} if events.info(source) is None]
    if absent:
        progress.say(f"writing events of {', '.join(absent)} to {events.url}")
        for source, table in recipe.events().items():
            if source in absent:
                events.write(source, table)
    return events


async def _start(
    request: Request, events: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint, progress: Progress
) -> tuple[int, bool]:
    """Returns the instant of the rows, and True where it is a replay's: of an earlier one, if that came further."""
    if request.until is None:
        return await store.now() // SECOND, False
    before = (await checkpoint.position(replay_digest(request.views, events)) or 0) // SECOND
    if before > request.until:
        progress.say(f"a replay has come to {_text(before)} and goes on there; --fresh begins at --until")
    return max(request.until, before), True


async def _serve(replayer: Replayer, request: Request, stop: threading.Event, progress: Progress) -> None:
    """Replays step after step until the end or a signal; asks again for a while where Redis does not answer."""
    loop = asyncio.get_running_loop()
    end = replayer.newest if request.to is None else request.to
    await replayer.begin(request.speed)
    began_at, began = loop.time(), replayer.position
    answered_at, total, rows = loop.time(), 0, 0
    while replayer.position < end and not stop.is_set():
        await asyncio.to_thread(stop.wait, STEP_S)
        to = min(began + int((loop.time() - began_at) * request.speed), end)
        try:
            step = await replayer.advance(to, request.speed if to < end else 0.0)
        except FeatureStoreError as error:
            if loop.time() - answered_at > TRIES_S:
                raise
            progress.show(f"{error}; trying again")
            continue
        answered_at = loop.time()
        total, rows = total + step.events, rows + step.rows.written
        progress.show(f"{_text(replayer.position)}  {total:,} events  {rows:,} rows written")
    if stop.is_set():
        await replayer.advance(replayer.position)  # a clock that ran on without rows would make them stale
    done = "stopped" if stop.is_set() else "replayed"
    progress.say(f"{done} at {_text(replayer.position)}: {total:,} events, {rows:,} rows written")


def _print_rows(done: Materialized, progress: Progress) -> None:
    """Leaves out views of which no row was looked at: done before, or without events."""
    width = max(map(len, done.views), default=0)
    for name, rows in done.views.items():
        if any(asdict(rows).values()):
            counts = f"{rows.written:8,} written  {rows.skipped:8,} skipped  {rows.expired:8,} expired"
            progress.say(f"{name:{width}}  {counts}")
    if done.parts_before:
        progress.say(f"{done.parts_before} of {done.parts} parts were done before")


def _text(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat()
