"""``tidegate deliver``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.exit_codes import INTERRUPTED, STOPPED
from app.terminal import print_error
from jobs.cli.options import ConfigName, Fresh, Overrides, Plan, Workers
from jobs.deliver.offline_gate import OfflineGate, parse
from jobs.release.plans import read
from jobs.release.sentences import no_longer_followed
from jobs.train.config_file import read_checked

app = typer.Typer(add_completion=False)

HELP = """Train a model and release it, in one job: train, compare with the champion, register, release, follow.

On a laptop:     tidegate deliver --config flights-online --plan canary
                   --gate 'auc>=champion-0.005'
On a cluster:    RAY_AUTH_MODE=token ray job submit --working-dir . --
                   python -m jobs.deliver --config ... --plan ...

Training is that of tidegate train, which ends with a registered version.
Each --gate compares a metric on the held-out rows with a number, or with
what the champion's own training logged; one that does not hold ends the job
here, with the figures, and the version's tag tidegate.gate says so. The
release is then begun over the gateway's HTTP and followed as tidegate
release begin --follow does; it goes on by itself when this job ends.

Exit code: 0 promoted, 3 rolled back, 4 cancelled, 5 an offline gate does
not hold, 1 refused or failed, 2 not understood (configuration and plan
included), 75 training was stopped behind a checkpoint (the same command
goes on there), 130 no longer followed. The last line of the output is one
JSON object: the version, its gates, its release."""


def _gate(text: str) -> OfflineGate:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command(help=HELP)
def deliver(
    config: ConfigName,
    plan: Plan,
    overrides: Overrides = [],  # noqa: B006
    workers: Workers = None,
    fresh: Fresh = False,
    gate: Annotated[
        list[Any],
        typer.Option(
            parser=_gate,
            metavar="GATE",
            help="METRIC>=BOUND or METRIC<=BOUND; the bound may be champion plus or minus a number; may be repeated.",
        ),
    ] = [],  # noqa: B006
) -> int:
    """Refuse early, then run."""
    document = read(plan)
    checked = read_checked(config, overrides, {"workers": workers})
    from app.settings import get_settings
    from app.training.driver.supervisor import StoppedError
    from jobs.deliver import run

    result: dict[str, Any] = {}
    try:
        return run.deliver(checked, gate, document, get_settings(), fresh, result)
    except StoppedError as error:
        print(error)
        result |= {"model": checked.model, "stopped_at_step": error.step}
        return STOPPED
    except KeyboardInterrupt:
        print_error(no_longer_followed(result.get("release", "")))
        return INTERRUPTED
    finally:
        if result:
            print(json.dumps(result), flush=True)
