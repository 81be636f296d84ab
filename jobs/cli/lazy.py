"""A group of commands whose modules are imported when one of them is called, not for the group's own help."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import typer
import typer.core
import typer.main

from app.terminal import exit_code_of
from jobs.ray_environment import prepare_for_ray


class LazyCommand(NamedTuple):
    """A command, or a group of them, that is not imported yet.

    Attributes:
        help: its line in the help of its group.
        module: its ``app``, or what ``MODULE:NAME`` names, is a :class:`typer.Typer`.
        panel: the heading of its line.
        ray: it imports Ray.
    """

    help: str
    module: str
    panel: str = "Commands"
    ray: bool = False


def load(row: LazyCommand) -> typer.Typer:
    """Returns the application of a command; its modules are imported now."""
    module, _, name = row.module.partition(":")
    found: typer.Typer = getattr(importlib.import_module(module), name or "app")
    return found


def lazy_group(
    commands: Mapping[str, LazyCommand], *, highest: int, load: Callable[[LazyCommand], typer.Typer] = load
) -> type[typer.core.TyperGroup]:
    """Returns a class for ``typer.Typer(cls=...)``: a group of these commands.

    What a command returns is the exit code; an error becomes its sentence and its exit code.

    Args:
        highest: exit code of an error, as :func:`app.terminal.exit_code_of` has it.
        load: returns the application of a command.
    """

    class LazyGroup(typer.core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Returns a command that has the help's line and nothing else."""
            if (row := commands.get(cmd_name)) is None:
                return None
            return typer.core.TyperCommand(cmd_name, help=row.help, rich_help_panel=row.panel)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, found, rest = super().resolve_command(ctx, args)
            if name is not None:
                if commands[name].ray:
                    prepare_for_ray()
                found = typer.main.get_command(load(commands[name]))
                found.name = name
            return name, found, rest

        def invoke(self, ctx: Any) -> Any:
            call = super().invoke
            raise typer.Exit(exit_code_of(lambda: call(ctx), highest=highest))

    return LazyGroup
