"""Fill the online feature store from a recipe's events, and keep it fresh by replaying them.

As of an instant:  python -m jobs.materialize --recipe flights --until 2013-10-01
And from there on: python -m jobs.materialize --recipe flights --until 2013-10-01 --serve --speed 60
On a cluster:      ray job submit --working-dir . -- python -m jobs.materialize --recipe flights --until 2013-10-01

The events are written to TIDEGATE_FEATURES_STORAGE as Parquet where they are not there yet. Rows are written only if
they are newer, so that every command may be repeated; --serve goes on where it stopped, and ends cleanly on Ctrl-C,
SIGTERM and `ray job stop`. With --until the store's time is that of the replay, for gateways too; it stands still
where a replay ends or is stopped, and holds for TIDEGATE_FEATURES_CLOCK_LEASE_S after the last step.

Exit code: 0 done, or the replay was stopped; 1 Redis or Ray is away, or another view of a name is registered; 2 an
option is refused; 75 stopped before all rows were written. The last line of the output is one JSON object: rows by
view, the address of the events and the instant reached, or where it stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ray.exceptions import RayError

from app.features import (
    EventStore,
    EventStoreError,
    FeatureSource,
    FeatureStoreError,
    Ledger,
    Materialized,
    OnlineStore,
    Registration,
    RegistrationError,
    Replayer,
    RollingView,
    materialize,
)
from app.features.materialization import SECOND, Progress
from app.features.replay import replay_digest
from app.ray_internals import NOISY_LOGGERS
from app.recipes import SHIPPED, find_recipe
from app.routing.route_store import connect
from app.settings import Settings, SettingsError, get_settings
from app.training.config.train_config import ConfigError
from app.training.tracking.progress import Say
from jobs.connect import cluster
from jobs.train import STOPPED, status_line, stopped_by_signals

STEP_S = 0.25
"""Wall time between the steps of a replay, seconds."""
TRIES_S = 60.0
"""Time that a replay waits for a Redis that is away before it gives up, seconds."""
_FAILURES = (FeatureStoreError, EventStoreError, RegistrationError, RayError, ConnectionError, OSError)


class _StoppedError(Exception):
    """Asked to stop before all rows were written."""

    def __init__(self, parts_done: int, parts: int) -> None:
        super().__init__(
            f"stopped with {parts_done} of {parts} parts done; without --fresh this command goes on from there"
        )
        self.parts_done, self.parts = parts_done, parts


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked for, checked.

    Attributes:
        until: whole seconds since 1970-01-01 UTC; None: the store's time.
        to: where the replay ends; None: at the last event.
        speed: event seconds in a second of wall time.
    """

    recipe: FeatureSource
    views: tuple[RollingView, ...]
    until: int | None
    serve: bool
    to: int | None
    speed: float
    fresh: bool
    replace: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, refuse early, run."""
    options = _parser().parse_args(argv)
    try:
        settings, command = get_settings(), _command(options)
    except (ConfigError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    for name, level in NOISY_LOGGERS["data"].items():
        logging.getLogger(name).setLevel(level)
    try:
        with cluster(settings.ray), stopped_by_signals() as stop, status_line() as show:
            result = asyncio.run(_run(command, settings, stop, show))
    except _StoppedError as stopped:
        print(stopped)
        print(json.dumps({"parts": stopped.parts, "stopped_at_part": stopped.parts_done}), flush=True)
        return STOPPED
    except _FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result), flush=True)
    return 0


async def _run(command: Command, settings: Settings, stop: threading.Event, show: Say) -> dict[str, Any]:
    redis = connect(settings.redis)
    try:
        store = OnlineStore(redis, settings.features.write_timeout_s)
        ledger = Ledger(redis, store, settings.features.clock_lease_s)
        events = await asyncio.to_thread(write_events, command.recipe, command.views, settings.features.storage)
        await Registration(redis, store).register(
            [view.declaration for view in command.views], replace=command.replace
        )
        if command.fresh:
            await ledger.forget()
            _say(f"removed {sum([await store.clear(view.declaration) for view in command.views]):,} rows")
        start, replayed = await _start(command, events, store, ledger)
        _say(f"rows as of {_text(start)}")

        def report(progress: Progress) -> None:
            if stop.is_set() and progress.parts_done < progress.parts:
                raise _StoppedError(progress.parts_done, progress.parts)
            show(f"{progress.parts_done}/{progress.parts} parts  {progress.rows:,} rows")

        done = await materialize(command.views, events, start, store, ledger, replayed, report)
        _tell(done)
        if command.serve:
            show("reading the events up to there")
            replayer = await asyncio.to_thread(Replayer, command.views, events, start, store, ledger)
            await _serve(replayer, command, stop, show)
            start = replayer.position
        elif replayed:
            await ledger.move(start * SECOND, 0.0, replay_digest(command.views, events))
        return {
            "views": {name: asdict(written) for name, written in done.views.items()},
            "parts": done.parts,
            "parts_before": done.parts_before,
            "events": events.url,
            "instant": _text(start),
        }
    finally:
        await redis.aclose()


def write_events(recipe: FeatureSource, views: Sequence[RollingView], storage: str) -> EventStore:
    """Where a recipe's events lie; the sources of the views that are not there are written."""
    events = EventStore.of(storage, recipe.name, recipe.events_version)
    absent = [source for source in {view.source: None for view in views} if events.info(source) is None]
    if absent:
        _say(f"writing events of {', '.join(absent)} to {events.url}")
        for source, table in recipe.events().items():
            if source in absent:
                events.write(source, table)
    return events


async def _start(command: Command, events: EventStore, store: OnlineStore, ledger: Ledger) -> tuple[int, bool]:
    """The instant of the rows, and whether it is a replay's: where an earlier replay came to, if that is later."""
    if command.until is None:
        return await store.now() // SECOND, False
    before = (await ledger.position(replay_digest(command.views, events)) or 0) // SECOND
    if before > command.until:
        _say(f"a replay has come to {_text(before)} and goes on there; --fresh begins at --until")
    return max(command.until, before), True


async def _serve(replayer: Replayer, command: Command, stop: threading.Event, show: Say) -> None:
    """Step after step until the end or a signal; a Redis that is away is asked again for a while."""
    loop = asyncio.get_running_loop()
    end = replayer.newest if command.to is None else command.to
    await replayer.begin(command.speed)
    began_at, began = loop.time(), replayer.position
    answered_at, total, rows = loop.time(), 0, 0
    while replayer.position < end and not stop.is_set():
        await asyncio.to_thread(stop.wait, STEP_S)
        to = min(began + int((loop.time() - began_at) * command.speed), end)
        try:
            step = await replayer.advance(to, command.speed if to < end else 0.0)
        except FeatureStoreError as error:
            if loop.time() - answered_at > TRIES_S:
                raise
            show(f"{error}; trying again")
            continue
        answered_at = loop.time()
        total, rows = total + step.events, rows + step.rows.written
        show(f"{_text(replayer.position)}  {total:,} events  {rows:,} rows written")
    if stop.is_set():
        await replayer.advance(replayer.position)  # a clock that ran on without rows would make them stale
    done = "stopped" if stop.is_set() else "replayed"
    _say(f"{done} at {_text(replayer.position)}: {total:,} events, {rows:,} rows written")


def _tell(done: Materialized) -> None:
    """Views of which no row was looked at, done before or without events, are left out."""
    width = max(map(len, done.views), default=0)
    for name, rows in done.views.items():
        if any(asdict(rows).values()):
            _say(f"{name:{width}}  {rows.written:8,} written  {rows.skipped:8,} skipped  {rows.expired:8,} expired")
    if done.parts_before:
        _say(f"{done.parts_before} of {done.parts} parts were done before")


def _say(line: str) -> None:
    print(f"\r\033[K{line}" if sys.stdout.isatty() else line, flush=True)


def _command(options: argparse.Namespace) -> Command:
    recipe = find_recipe(options.recipe, {})
    if not isinstance(recipe, FeatureSource) or not recipe.feature_views:
        raise ConfigError(f"--recipe {options.recipe}: this recipe has no feature views")
    names = {view.name: view for view in recipe.feature_views}
    unknown = [name for name in options.view if name not in names]
    if unknown:
        raise ConfigError(f"--view {', '.join(unknown)}: accepted are {', '.join(names)}")
    if options.serve and options.until is None:
        raise ConfigError("--serve replays from an instant: give it by --until")
    if not options.serve and (options.to is not None or options.speed is not None):
        raise ConfigError("--to and --speed are of a replay: give --serve")
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise ConfigError(f"--speed {options.speed}: accepted are seconds of events per second, more than 0")
    return Command(
        recipe=recipe,
        views=tuple(view for name, view in names.items() if not options.view or name in options.view),
        until=_instant("--until", options.until),
        serve=options.serve,
        to=_instant("--to", options.to),
        speed=options.speed or 1.0,
        fresh=options.fresh,
        replace=options.replace,
    )


def _instant(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text}: accepted is an instant such as 2013-10-01 or 2013-10-01T05:00Z"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _text(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.materialize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"shipped recipes: {', '.join(SHIPPED)}",
    )
    parser.add_argument("--recipe", required=True, metavar="NAME", help="a shipped recipe, or package.module:Class")
    parser.add_argument("--until", metavar="INSTANT", help="rows as of this instant, UTC [the store's time]")
    parser.add_argument("--view", action="append", default=[], metavar="NAME", help="this view only; may be repeated")
    parser.add_argument("--serve", action="store_true", help="replay the events from then on")
    parser.add_argument("--speed", type=float, metavar="N", help="event seconds in a second of wall time [1]")
    parser.add_argument("--to", metavar="INSTANT", help="end of the replay [the last event]")
    parser.add_argument("--fresh", action="store_true", help="remove the views' rows and begin at --until")
    parser.add_argument("--replace", action="store_true", help="take the place of other views of these names")
    return parser


if __name__ == "__main__":
    sys.exit(main())
