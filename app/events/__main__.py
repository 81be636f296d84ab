"""Show the events of a model.

  python -m app.events tail flights                            predictions as they happen, until Ctrl-C
  python -m app.events tail flights --from start --no-follow   all that are kept
  python -m app.events tail flights --count 100 --json         the next 100, one JSON object a line
  python -m app.events tail flights --labels                   the labels that came in instead of the predictions

A record may appear twice (at least once): the same event_id is the same prediction. Older ones than the stream keeps
(TIDEGATE_EVENTS_MAXLEN) are gone. The streams are in the Redis of TIDEGATE_EVENTS_URL, else of TIDEGATE_REDIS_URL.
Exit code: 0 done, also by Ctrl-C; 1 no such model, or no answer; 2 not understood.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import asdict

from app.errors import NotFoundError
from app.events.event_log import Entry, EventLogError, R
from app.events.label import Label
from app.events.output import describe
from app.events.prediction import Prediction
from app.events.redis_streams import START, RedisEventLog, connect_events, connect_labels
from app.settings import SettingsError, get_settings

PAGE = 256
WAIT_S = 1.0
HEAD = f"{'time, UTC':<23}  version  status  rows  total ms  version ms  {'key id':<12}  outputs"
LABELS_HEAD = f"{'known, UTC':<23}  {'label':>7}  {'key id':<12}  of"


class UnknownModelError(NotFoundError):
    """No record of the model has been published."""


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_run(options))
    except (SettingsError, UnknownModelError, EventLogError) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough; Python must not find the pipe broken again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


async def _run(options: argparse.Namespace) -> None:
    settings = get_settings()
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():  # where signals arrive
        for number in (signal.SIGINT, signal.SIGTERM):
            # Not asyncio's own way: a cancellation can be lost in redis-py (asyncio.wait_for before Python 3.12).
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.labels:
        await _tail(connect_labels(settings), LABELS_HEAD, _as_label_line, options, stop)
    else:
        await _tail(connect_events(settings), HEAD, _as_line, options, stop)


async def _tail(
    log: RedisEventLog[R], head: str, line: Callable[[R], str], options: argparse.Namespace, stop: asyncio.Event
) -> None:
    try:
        await _show(log, head, line, options, stop)
    finally:
        await log.close()


async def _show(
    log: RedisEventLog[R], head: str, line: Callable[[R], str], options: argparse.Namespace, stop: asyncio.Event
) -> None:
    model: str = options.model
    models = await log.models()
    if model not in models:
        raise UnknownModelError(
            f"there are no {'labels' if options.labels else 'events'} of model {model!r}; "
            f"there are of: {', '.join(models) or 'none'}"
        )
    start = options.start or ("now" if options.follow else "start")
    after = {"now": await log.newest(model), "start": START}.get(start, start)
    left = options.count
    if not options.json:
        print(head, flush=True)
    while not stop.is_set() and (left is None or left > 0):
        wanted = PAGE if left is None else min(PAGE, left)
        entries = await log.read(model, after, wanted, WAIT_S if options.follow else 0)
        if not entries and not options.follow:
            return
        for entry in entries:
            print(_as_json(entry) if options.json else _as_text(entry, line))
            after = entry.position
        sys.stdout.flush()
        left = None if left is None else left - len(entries)


def _as_json(entry: Entry[R]) -> str:
    record: dict[str, Any] = asdict(entry.record) if isinstance(entry.record, msgspec.Struct) else {}
    for name in {"outputs", "features"} & record.keys():  # as objects with names, not as the log's arrays
        record[name] = {key: asdict(held) for key, held in record[name].items()}
    return msgspec.json.encode({"position": entry.position, **record}).decode()


def _as_text(entry: Entry[R], line: Callable[[R], str]) -> str:
    if entry.record is None:
        return f"{entry.position}: not a record that this release can read"
    return line(entry.record)


def _as_line(record: Prediction) -> str:
    total, inside = (f"{us / 1000:.1f}" for us in (record.total_us, record.version_us))
    return (
        f"{_instant(record.at)}  {record.version or '-':>7}  {record.status:>6}  {record.rows:>4}  {total:>8}  "
        f"{'cached' if record.cached else inside:>10}  {record.key_id:<12}  {describe(record.outputs)}"
    )


def _as_label_line(record: Label) -> str:
    of = f"request {record.request_id}" if record.request_id is not None else f"entity {record.sticky}"
    about = "" if record.predicted_at is None else f" at {_instant(record.predicted_at)}"
    return f"{_instant(record.at)}  {record.label:>7.4g}  {record.key_id:<12}  {of}{about}"


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]


def _start(text: str) -> str:
    if text not in ("now", "start") and not re.fullmatch(r"\d{1,20}(-\d{1,20})?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is now, start, or a position such as 1760000000000-0")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,11}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a whole number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.events", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    tail = verbs.add_parser("tail", help="a model's predictions, or labels")
    tail.add_argument("model", metavar="MODEL")
    tail.add_argument("--labels", action="store_true", help="the labels")
    tail.add_argument(
        "--from",
        dest="start",
        type=_start,
        metavar="now|start|POSITION",
        help="behind which record to begin; a position is in --json's field of that name, or a time in milliseconds "
        "since the epoch (default: now; with --no-follow: start)",
    )
    tail.add_argument("--count", type=_count, metavar="N", help="end after N records")
    tail.add_argument("--json", action="store_true", help="one JSON object a line")
    tail.add_argument(
        "--follow", action=argparse.BooleanOptionalAction, default=True, help="wait for further records"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
