"""The main job, end to end on real data.

Brings the local stack up, trains `static` by a submitted job and makes it champion, trains `online`, starts it at
10 %, replays real October flights against the gateway, moves the weight to 50 % and 100 % while the traffic runs,
moves the alias champion, removes the old version, and says what it saw.

Exit code 0 only if every promise held: no failed request, no key that moved back, observed shares as set, the
expected test AUC. The stack is left running, unless --once is given.
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

from app.registry import RegistryError, connect
from app.routing.readback import NotFollowedError, gateway_handle
from app.routing.store import RouteStore
from app.routing.store import connect as connect_redis
from app.routing.table import RouteError
from app.serving.deploy import DeployError
from app.settings import Settings, SettingsError, get_settings
from jobs.connect import cluster
from jobs.run.progress import Progress
from jobs.run.stack import Routes, StepError, local
from jobs.run.story import Pace, Story
from jobs.run.summary import show, summarize


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    options = _parser().parse_args(argv)
    pace = Pace(options.rate, options.share_seconds, options.workers)
    console = Console(highlight=False)
    try:
        summary = asyncio.run(_run(pace, options.once, console))
    except (StepError, SettingsError, RegistryError, RouteError, DeployError, NotFollowedError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0 if summary["ok"] else 1


async def _run(pace: Pace, once: bool, console: Console) -> dict[str, Any]:
    started = time.monotonic()
    with Progress(console) as progress:
        with progress.step("python -m cluster local up") as step:
            await local("up", say=lambda line: progress.say(step, line))
        settings = get_settings()
        try:
            summary = await _tell(settings, pace, progress, started)
        finally:
            if once:
                with progress.step("python -m cluster local down") as step:
                    await local("down", say=lambda line: progress.say(step, line))
    show(console, summary, {} if once else _addresses(settings))
    return summary


async def _tell(settings: Settings, pace: Pace, progress: Progress, started: float) -> dict[str, Any]:
    client = await asyncio.to_thread(connect, settings.mlflow)
    redis = connect_redis(settings.redis)
    routes = Routes(settings.gateway)
    try:
        with cluster(settings.ray):
            gateway = gateway_handle(settings.gateway.app_name)
            story = Story(settings, pace, client, RouteStore(redis), gateway, routes, progress)
            static = await story.train("static")
            old = await story.deploy(static)
            await story.crown(old)
            online = await story.train("online")
            new = await story.deploy(online)
            tally = await story.shift(old, new)
            return summarize([static, online], tally, await story.champion(), old, time.monotonic() - started)
    finally:
        await routes.close()
        await redis.aclose()


def _addresses(settings: Settings) -> dict[str, str]:
    return {
        "gateway": f"{settings.gateway.url}/docs",
        "Ray dashboard": f"{settings.ray.dashboard_url} (its token: ~/.ray/auth_token)",
        "MLflow": settings.mlflow.tracking_uri,
        "still running": "python -m cluster local status; to stop it: python -m cluster local down",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="take the stack down at the end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as one JSON object")
    parser.add_argument("--rate", type=float, default=60.0, help="requests per second [%(default)s]")
    parser.add_argument("--share-seconds", type=float, default=20.0, help="seconds at each share [%(default)s]")
    parser.add_argument("--workers", type=int, default=2, help="training workers [%(default)s]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
