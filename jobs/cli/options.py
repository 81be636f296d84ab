"""Options that several commands have."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jobs.release.plans import names

T = TypeVar("T")
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


def whole_number(given: str | int) -> int:
    """Parses a whole number from 1; a default comes as it is."""
    if not re.fullmatch(r"[1-9]\d{0,11}", str(given)):
        raise typer.BadParameter(f"{given!r}: accepted is a whole number from 1")
    return int(given)


def positive_number(given: str | float) -> float:
    """Parses a number above 0; a default comes as it is."""
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{given!r}: accepted is a number above 0")
    return value


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Returns an option for :func:`with_options`; ``annotation`` is ``Annotated[type, typer.Option(...)]``."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Returns the parameters of a function, without ``**NAME``."""
    found = inspect.signature(function, eval_str=True).parameters.values()
    return [each for each in found if each.kind is not inspect.Parameter.VAR_KEYWORD]


def with_options(command: Callable[..., T], options: Iterable[inspect.Parameter]) -> Callable[..., T]:
    """Replace the keywords ``**NAME`` of a command by options, and return it."""
    every = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*parameters(command), *options)]
    command.__signature__ = inspect.signature(command).replace(parameters=every)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in every}
    return command
