"""``tidegate demo``, which ``make run`` runs."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import TidegateError
from app.exit_codes import DONE, FAILED, INTERRUPTED
from app.terminal import Progress, console, print_error
from jobs.cli.options import positive_number
from jobs.ray_environment import prepare_for_ray
from jobs.run.command import StepError, local
from jobs.run.progress import DemoProgress
from jobs.run.summary import show

HELP = """Train, release and roll back three versions on real data, end to end.

Brings the local stack up, trains static by a submitted job and releases it
as the first champion, trains online, fills the feature store by another
job, and replays real October flights against the gateway. Once a flight has
landed by the replay's clock, its outcome is posted as a label. Meanwhile
three versions are released by one plan, and the judge decides: online is
promoted; shuffled, trained on shuffled labels, and strict, which raises on
some flights, are rolled back. Requests carry no features: what online needs
is read from the store, whose rows and clock follow the flights.

Exit code 0 only if every promise held: no failed request, each release
ended as it should and by the judge, no key that moved back, observed shares
as set, the expected test AUC, features read and fresh. The stack is left
running, unless --once is given."""

app = typer.Typer(add_completion=False)


@app.command(help=HELP)
def demo(
    once: Annotated[bool, typer.Option("--once", help="Take the stack down at the end.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the summary as one JSON object.")
    ] = None,
    rate: Annotated[float, typer.Option(parser=positive_number, metavar="N", help="Requests per second.")] = 60.0,
    share_seconds: Annotated[
        float,
        typer.Option(
            parser=positive_number,
            metavar="S",
            help="Least seconds at each share whose gate is time; the judge takes what it needs.",
        ),
    ] = 10.0,
    workers: Annotated[int, typer.Option(metavar="N", help="Training workers.")] = 2,
) -> int:
    """Run the demo and write its summary."""
    try:
        summary = asyncio.run(_run((rate, share_seconds, workers), once))
    except KeyboardInterrupt:
        print_error("interrupted; what is up stays up: tidegate local status")
        return INTERRUPTED
    except TidegateError as error:
        print_error(error)
        summary = {"ok": False, "broken": [str(error)]}
    if json_file:
        json_file.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return DONE if summary["ok"] else FAILED


async def _run(pace: tuple[float, float, int], once: bool) -> dict[str, Any]:
    started = time.monotonic()
    screen = console()
    progress = DemoProgress(Progress(screen))
    async with progress.drawn():
        with progress.step("tidegate local up") as step:
            await local("up", say=lambda line: progress.say(step, line))
            progress.say(step, "Redis, MLflow, Ray and the gateway answer")
        try:
            summary = await _told(pace, progress, started)
        finally:
            if once:
                with progress.step("tidegate local down") as step:
                    await local("down", say=lambda line: progress.say(step, line))
    show(screen, summary)
    if not once:
        _print_addresses()
    return summary


async def _told(pace: tuple[float, float, int], progress: DemoProgress, started: float) -> dict[str, Any]:
    prepare_for_ray()  # a first run's stack.env is there only now
    from app.settings import get_settings
    from jobs.run.story import EXPECTED_FAILURES, Pace, tell

    try:
        return await tell(get_settings(), Pace(*pace), progress, started)
    except EXPECTED_FAILURES as error:
        raise StepError(str(error)) from error


def _print_addresses() -> None:
    from app.settings import get_settings

    settings = get_settings()
    print()
    for name, address in {
        "gateway": f"{settings.gateway.url}/docs",
        "Ray dashboard": f"{settings.ray.dashboard_url} (its token: ~/.ray/auth_token)",
        "MLflow": settings.mlflow.tracking_uri,
        "still running": "tidegate local status; to stop it: tidegate local down",
    }.items():
        print(f"{name:16} {address}", flush=True)
