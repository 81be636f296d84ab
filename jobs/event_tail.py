"""Predictions or labels of a model, printed as they are published."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict

from app.errors import InvalidArgumentError, NotFoundError
from app.events.event_log import EventLog, LogEntry, R
from app.events.label import Label
from app.events.output import describe
from app.events.prediction import Prediction
from app.events.sinks import connect_sink
from app.settings import Settings

PAGE = 256
WAIT_S = 1.0
PREDICTIONS_HEAD = f"{'time, UTC':<23}  version  status  rows  total ms  version ms  {'key id':<12}  outputs"
LABELS_HEAD = f"{'known, UTC':<23}  {'label':>7}  {'key id':<12}  of"


class NoEventsError(NotFoundError):
    """No record of the model has been published."""


class PositionError(InvalidArgumentError):
    """The option --from holds no position of the sink."""


class TailOptions(NamedTuple):
    """The records to print, and the form of a line.

    Attributes:
        start: ``now``, ``start``, or the position behind which to begin; None: now, or the start without ``follow``.
        limit: ends after so many records; None: after none.
        as_json: one JSON object a line.
        follow: wait for further records.
    """

    model: str
    labels: bool
    start: str | None
    limit: int | None
    as_json: bool
    follow: bool


async def tail(options: TailOptions, settings: Settings) -> None:
    """Print records until the end, Ctrl-C or SIGTERM.

    Raises:
        NoEventsError: there are none of this model.
        EventLogError: the log does not answer.
        PositionError: ``start`` is none of the accepted.
    """
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():  # where signals arrive
        for number in (signal.SIGINT, signal.SIGTERM):
            # Not asyncio's own way: a cancellation can be lost in redis-py (asyncio.wait_for before Python 3.12).
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sink = connect_sink(settings)
    try:
        if options.labels:
            await _print_records(sink.labels, LABELS_HEAD, _label_line, options, stop)
        else:
            await _print_records(sink.predictions, PREDICTIONS_HEAD, _prediction_line, options, stop)
    finally:
        await sink.close()


async def _print_records(
    log: EventLog[R], head: str, line: Callable[[R], str], options: TailOptions, stop: asyncio.Event
) -> None:
    model = options.model
    start = options.start or ("now" if options.follow else "start")
    if start not in ("now", "start"):
        try:
            start = log.parse_position(start)
        except ValueError as error:
            raise PositionError(f"--from {start!r}: accepted is now, start, or {error}") from None
    models = await log.models()
    if model not in models:
        raise NoEventsError(
            f"there are no {'labels' if options.labels else 'events'} of model {model!r}; "
            f"there are of: {', '.join(models) or 'none'}"
        )
    after = await log.newest(model) if start == "now" else log.start if start == "start" else start
    left = options.limit
    if not options.as_json:
        print(head, flush=True)
    while not stop.is_set() and (left is None or left > 0):
        wanted = PAGE if left is None else min(PAGE, left)
        entries = await log.read(model, after, wanted, WAIT_S if options.follow else 0)
        if not entries and not options.follow:
            return
        for entry in entries:
            print(_as_json(entry) if options.as_json else _as_text(entry, line))
            after = entry.position
        sys.stdout.flush()
        left = None if left is None else left - len(entries)


def _as_json(entry: LogEntry[R]) -> str:
    record: dict[str, Any] = asdict(entry.record) if isinstance(entry.record, msgspec.Struct) else {}
    for name in {"outputs", "features"} & record.keys():  # as objects with names, not as the log's arrays
        record[name] = {key: asdict(held) for key, held in record[name].items()}
    return msgspec.json.encode({"position": entry.position, **record}).decode()


def _as_text(entry: LogEntry[R], line: Callable[[R], str]) -> str:
    if entry.record is None:
        return f"{entry.position}: not a record that this release can read"
    return line(entry.record)


def _prediction_line(record: Prediction) -> str:
    total, inside = (f"{us / 1000:.1f}" for us in (record.total_us, record.version_us))
    return (
        f"{_instant(record.at)}  {record.version or '-':>7}  {record.status:>6}  {record.rows:>4}  {total:>8}  "
        f"{'cached' if record.cached else inside:>10}  {record.key_id:<12}  {describe(record.outputs)}"
    )


def _label_line(record: Label) -> str:
    of = f"request {record.request_id}" if record.request_id is not None else f"entity {record.sticky}"
    about = "" if record.predicted_at is None else f" at {_instant(record.predicted_at)}"
    return f"{_instant(record.at)}  {record.label:>7.4g}  {record.key_id:<12}  {of}{about}"


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
