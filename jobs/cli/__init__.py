"""The command ``tidegate``: one module per group, imported (``lazy``) when the group is called.

Groups: ``local``, ``kube``, ``demo``, ``train``, ``release``, ``deliver``, ``versions``, ``materialize``, ``keys``,
``events``, ``bench``; ``information`` has ``settings`` and ``exit-codes``. ``options`` are those that several share;
``reference`` writes the tables of ``jobs/README.md``.

A group's module has ``app``, a :class:`typer.Typer`, and thin commands: options with their help, one call of what
does the work, its result printed by :mod:`app.terminal`. A command returns its exit code (None for 0) and raises
errors of :mod:`app.errors`, which become their sentence on stderr and their exit code: under ``kube`` any, elsewhere
1 or 2. So that ``--help`` is fast, a module here imports ray, torch, mlflow and the like inside a command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
import typer.main

from app.exit_codes import DONE, NOT_UNDERSTOOD
from app.terminal import print_error
from jobs.cli.lazy import LazyCommand, lazy_group

_PLATFORM, _MODELS, _OPERATION = "The platform", "Models, from training to traffic", "Operation"


def _command(panel: str, name: str, help: str, *, ray: bool = False) -> LazyCommand:
    return LazyCommand(help, f"jobs.cli.{name}", panel, ray)


COMMANDS = {
    "local": _command(_PLATFORM, "local", "The stack on this machine: up, status, down."),
    "serve": _command(_PLATFORM, "local:serve", "The stack on this machine, in the foreground."),
    "kube": _command(_PLATFORM, "kube", "The platform on Kubernetes: doctor, up, status, ..."),
    "demo": _command(_PLATFORM, "demo", "Train, release and roll back on real data, as make run does."),
    "train": _command(_MODELS, "train", "Train a recipe and register the result as a version.", ray=True),
    "release": _command(_MODELS, "release", "Begin, follow and steer releases."),
    "deliver": _command(_MODELS, "deliver", "Train, check offline gates, release.", ray=True),
    "versions": _command(_MODELS, "versions", "Deploy versions by hand and set their weights.", ray=True),
    "materialize": _command(_MODELS, "materialize", "Fill the online feature store; keep it fresh.", ray=True),
    "keys": _command(_OPERATION, "keys", "Create, show and revoke API keys."),
    "events": _command(_OPERATION, "events", "A model's predictions and labels as they happen."),
    "settings": _command(_OPERATION, "information:settings", "The settings in force and where they come from."),
    "bench": _command(_OPERATION, "bench", "Benchmarks.", ray=True),
    "exit-codes": _command(_OPERATION, "information:exit_codes", "The exit codes of all commands."),
}

app = typer.Typer(
    cls=lazy_group(COMMANDS, highest=NOT_UNDERSTOOD),
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def tidegate() -> None:
    """Train, release and serve models on one Ray cluster.

    Begin with [bold]tidegate local up[/], then [bold]tidegate deliver --help[/].
    The commands find the local stack, or what the variables TIDEGATE_* name
    ([bold]tidegate settings[/]).
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code: int | None = typer.main.get_command(app).main(given or ["--help"], "tidegate", standalone_mode=False)
    except typer.TyperException as error:  # of the command line; a sentence also where it is read in a log
        context = getattr(error, "ctx", None)
        path = "tidegate" if context is None else context.command_path
        print_error(f"{error.format_message()}\nSee: {path} --help")
        return NOT_UNDERSTOOD
    return code or DONE
