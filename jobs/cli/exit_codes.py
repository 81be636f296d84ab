"""``tidegate exit-codes``."""

from __future__ import annotations

from typing import Annotated

import typer

from app.exit_codes import EXIT_CODES
from app.terminal import print_json, print_table, table

app = typer.Typer(add_completion=False)


@app.command()
def exit_codes(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """Print the exit codes of all commands."""
    if as_json:
        print_json([row._asdict() for row in EXIT_CODES])
        return
    shown = table("code", "commands", "meaning", right=("code",), whole=("commands",))
    for row in EXIT_CODES:
        shown.add_row(str(row.code), row.commands, row.meaning)
    print_table(shown)
