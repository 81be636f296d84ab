"""A command that hands its whole command line, ``--help`` included, to a parser of its own."""

from __future__ import annotations

from collections.abc import Callable

import typer

_UNPARSED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def pass_on(main: Callable[[list[str]], int]) -> typer.Typer:
    """Returns a command that calls ``main`` with the arguments as they came."""
    app = typer.Typer(add_completion=False)

    @app.command(context_settings=_UNPARSED, add_help_option=False)
    def command(context: typer.Context) -> int:
        return main(list(context.args))

    return app
