"""``tidegate train``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.markup import escape

from app.exit_codes import DONE, STOPPED
from app.training.config.parallel_dims import ParallelConfig
from app.training.config.train_config import TrainConfig
from jobs.cli.options import ConfigName, Fresh, Overrides, Workers
from jobs.train.config_file import names, read_checked

app = typer.Typer(add_completion=False)


def _described(fields: Mapping[str, FieldInfo]) -> str:
    lines = []
    for name, field in fields.items():
        known = not field.is_required() and not isinstance(_default(field), BaseModel)
        lines.append(f"  {name:24} {field.description}" + (f" [{_default(field)}]" if known else ""))
    return "\n".join(lines)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


HELP = f"""Train a recipe on Ray Train and register the result as a new version of a model.

On a laptop:   tidegate train --config flights-online
Only a check:  tidegate train --config 8b-64gpu --dry-run
On a cluster:  tidegate kube train -- python -m jobs.train --config NAME

A job that is stopped (Ctrl-C, SIGTERM, ray job stop) writes a checkpoint
first; the same command goes on there. For ray job stop the head must run
with RAY_JOB_STOP_WAIT_TIME_S=90 or so (the local stack does): Ray kills
after 3 s.

Exit code: 0 registered, or checked; 1 training failed or the registry does
not answer; 2 the configuration is refused; 75 stopped behind a checkpoint.
The last line of the output is one JSON object: the version, or where it
stopped.

Shipped configurations: {", ".join(names())}

Fields of a configuration \\[default]:
{escape(_described(TrainConfig.model_fields))}

Fields of its group layout \\[default]:
{escape(_described(ParallelConfig.model_fields))}"""


@app.command(help=HELP)
def train(
    config: ConfigName,
    overrides: Overrides = [],  # noqa: B006  (typer copies it)
    workers: Workers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print mesh, parameters and memory per rank; train nothing.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Name in the registry.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="STEPS", help="Steps to profile, such as 20:25.")] = None,
    fresh: Fresh = False,
) -> int:
    """Refuse early, then train."""
    checked = read_checked(config, overrides, {"workers": workers, "model": model, "seed": seed, "profile": profile})
    from app.recipes import find_recipe

    recipe = find_recipe(checked.recipe, checked.options)
    if dry_run:
        from jobs.train.dry_run import dry_run as check

        check(checked, recipe)
        return DONE
    from app.settings import get_settings
    from app.training.driver.supervisor import StoppedError
    from jobs.train.run import run

    try:
        trained = run(checked, recipe, get_settings(), fresh)
    except StoppedError as error:
        print(error)
        print(json.dumps({"model": checked.model, "stopped_at_step": error.step}), flush=True)
        return STOPPED
    print(json.dumps(dataclasses.asdict(trained)), flush=True)
    return DONE
