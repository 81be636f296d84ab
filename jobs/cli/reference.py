"""The tables of ``jobs/README.md``, written from the commands themselves: ``python -m jobs.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from app.exit_codes import EXIT_CODES
from jobs.cli import COMMANDS
from jobs.cli.kube import VERBS
from jobs.cli.lazy import load

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- begin: python -m jobs.cli.reference -->\n", "<!-- end -->\n"
ELSEWHERE = ("serve", "kube", "bench", "exit-codes")
"""Commands that are described elsewhere, or that print a table of this page."""


def main() -> None:
    """Write the tables anew."""
    README.write_text(with_tables(README.read_text()))


def with_tables(text: str) -> str:
    """Returns the page with its generated part written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "".join([head, BEGIN, *(f"{line}\n" for line in _lines()), END, tail])


def _lines() -> Iterator[str]:
    for name, row in COMMANDS.items():
        if name not in ELSEWHERE:
            command = typer.main.get_command(load(row))
            yield from _command(f"tidegate {name}", command, row.help)
    yield from ("", "## Exit codes", "", "| code | commands | meaning |", "| --- | --- | --- |")
    for each in EXIT_CODES:
        yield f"| {each.code} | {each.commands} | {_cell(each.meaning)} |"
    yield from ("", "## Verbs of `tidegate kube`", "", "| verb | what it does |", "| --- | --- |")
    for verb, row in VERBS.items():
        yield f"| `{verb}` | {_cell(row.help)} |"


def _command(path: str, command: Any, help: str) -> Iterator[str]:
    yield from ("", f"## `{path}`", "", help)
    if not hasattr(command, "list_commands"):
        yield from _options(command)
        return
    context = command.make_context(path, ["--help"], resilient_parsing=True)
    for name in command.list_commands(context):
        verb = command.get_command(context, name)
        arguments = [
            param.metavar or param.name.upper() for param in verb.params if param.param_type_name == "argument"
        ]
        yield from ("", f"### `{' '.join([path, name, *arguments])}`", "", _first_line(verb.help))
        yield from _options(verb)


def _options(command: Any) -> Iterator[str]:
    options = [param for param in command.params if param.param_type_name == "option" and param.name != "help"]
    if options:
        yield from ("", "| option | meaning |", "| --- | --- |")
    for option in options:
        value = f" {option.metavar}" if option.metavar else ""
        required = " (required)" if option.required else ""
        names = " / ".join([f"{option.opts[0]}{value}", *option.secondary_opts])
        default = f" (default: {option.default})" if option.default not in (None, False, []) else ""
        yield f"| `{_cell(names)}`{required} | {_cell(option.help or '')}{_cell(default)} |"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
