"""``tidegate settings`` and ``tidegate exit-codes``: tables of what is in force."""

from __future__ import annotations

from typing import Annotated

import typer

from app.exit_codes import EXIT_CODES
from app.gateway.time_limits import table as limits_table
from app.settings import get_settings, rows
from app.terminal import print_json, print_table, table
from jobs.cli.options import Json

settings = typer.Typer(add_completion=False)
exit_codes = typer.Typer(add_completion=False)


@settings.command()
def print_settings(
    as_json: Json = False,
    time_limits: Annotated[
        bool, typer.Option("--time-limits", help="The time limits on a request's way instead, as Markdown.")
    ] = False,
) -> None:
    """Print the settings in force and where they come from: environment, local stack, default. Secrets are masked."""
    if time_limits:
        typer.echo(limits_table(get_settings()))
        return
    found = list(rows(get_settings()))
    if as_json:
        print_json({row.name: {"value": row.value, "source": row.source} for row in found})
        return
    shown = table("variable", "value", "source", "meaning")
    for row in found:
        shown.add_row(row.name, "" if row.value is None else str(row.value), row.source, row.description)
    print_table(shown)


@exit_codes.command()
def print_exit_codes(as_json: Json = False) -> None:
    """Print the exit codes of all commands."""
    if as_json:
        print_json([row._asdict() for row in EXIT_CODES])
        return
    shown = table("code", "commands", "meaning", right=("code",), whole=("commands",))
    for row in EXIT_CODES:
        shown.add_row(str(row.code), row.commands, row.meaning)
    print_table(shown)
