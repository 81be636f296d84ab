"""The main job, end to end on real data.

Brings the local stack up, trains `static` by a submitted job and releases it as the first champion, trains `online`,
fills the feature store by another job, and replays real October flights against the gateway. What came true of each
flight is posted as a label once it has landed by the replay's clock. Meanwhile three versions are released by one
plan, and the judge decides: `online` is promoted; `shuffled`, trained on shuffled labels, and `strict`, which raises
on some flights, are taken back. Requests carry no features: what `online` wants is read from the store, whose rows
and clock follow the flights.

Exit code 0 only if every promise held: no failed request, each release ended as it should and by the judge, no key
that moved back, observed shares as set, the expected test AUC, features read and fresh. The stack is left running,
unless --once is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from app.settings import Settings, SettingsError, get_settings
from app.stack_environment import adopt_ray_environment
from jobs.run.command import local
from jobs.run.errors import StepError
from jobs.run.pace import Pace
from jobs.run.progress import Progress
from jobs.run.summary import show

LOG_COLUMNS = 140
"""Width of tables where the output is not a terminal."""


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    options = _parser().parse_args(argv)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=LOG_COLUMNS, soft_wrap=True)
    try:
        summary = asyncio.run(_run(Pace(options.rate, options.share_seconds, options.workers), options.once, console))
    except (StepError, SettingsError) as error:
        console.print(str(error), style="red", markup=False)
        summary = {"ok": False, "broken": [str(error)]}
    except KeyboardInterrupt:
        console.print("interrupted; what is up stays up: python -m cluster local status")
        return 130
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return 0 if summary["ok"] else 1


async def _run(pace: Pace, once: bool, console: Console) -> dict[str, Any]:
    started = time.monotonic()
    progress = Progress(console)
    async with progress.shown():
        with progress.step("python -m cluster local up") as step:
            await local("up", say=lambda line: progress.say(step, line))
            progress.say(step, "Redis, MLflow, Ray and the gateway answer")
        try:
            summary = await _tell(pace, progress, started)
        finally:
            if once:
                with progress.step("python -m cluster local down") as step:
                    await local("down", say=lambda line: progress.say(step, line))
    show(console, summary, {} if once else _addresses(get_settings()))
    return summary


async def _tell(pace: Pace, progress: Progress, started: float) -> dict[str, Any]:
    # Ray reads its environment when it is imported, and a first run's stack.env is there only now.
    adopt_ray_environment()
    from jobs.run.story import EXPECTED_FAILURES, tell

    try:
        return await tell(get_settings(), pace, progress, started)
    except EXPECTED_FAILURES as error:
        raise StepError(str(error)) from error


def _addresses(settings: Settings) -> dict[str, str]:
    return {
        "gateway": f"{settings.gateway.url}/docs",
        "Ray dashboard": f"{settings.ray.dashboard_url} (its token: ~/.ray/auth_token)",
        "MLflow": settings.mlflow.tracking_uri,
        "still running": "python -m cluster local status; to stop it: python -m cluster local down",
    }


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a number above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="take the stack down at the end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as one JSON object")
    parser.add_argument("--rate", type=_positive, default=60.0, help="requests per second [%(default)s]")
    parser.add_argument(
        "--share-seconds",
        type=_positive,
        default=10.0,
        help="least seconds at each share whose gate is time; the judge takes what he needs [%(default)s]",
    )
    parser.add_argument("--workers", type=int, default=2, help="training workers [%(default)s]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
