"""Options that several commands have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.release.plans import names

ConfigName = Annotated[
    str,
    typer.Option("--config", metavar="NAME", help="Of training: a YAML file, or the name of one in jobs/configs."),
]
Plan = Annotated[
    str, typer.Option(metavar="NAME", help=f"Of the release: a YAML file, or one of {', '.join(names())}.")
]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Lay a value over the file, such as options.dropout=0.1."),
]
Workers = Annotated[str | None, typer.Option(metavar="N", help="Worker processes; 2:8 takes any number between.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew, though this run was stopped before its end.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write what is known at the end as JSON.")
]


def with_options(command: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Replace the keywords ``**NAME`` of a command by options, which are None where they are not given.

    Args:
        options: name -> annotation.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]
    command.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in [*own, *more]}
