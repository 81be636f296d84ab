"""The command ``tidegate``: one module per group, imported when the group is called.

A group's module has ``app``, a :class:`typer.Typer`, and thin commands: options with their help, one call of what
does the work, its result printed by :mod:`app.terminal`. A command returns its exit code (None for 0) and raises
errors of :mod:`app.errors`, which become their sentence on stderr and their exit code. So that ``--help`` is fast, a
module here imports ray, torch, mlflow and the like inside a command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
import typer.main

from app.exit_codes import NOT_UNDERSTOOD
from jobs.cli.lazy import LazyCommand, lazy_group

_PLATFORM, _MODELS, _OPERATION = "The platform", "Models, from training to traffic", "Operation"
COMMANDS = {
    "local": LazyCommand("The stack on this machine: up, status, down.", "jobs.cli.local", _PLATFORM),
    "serve": LazyCommand("The stack on this machine, in the foreground.", "jobs.cli.serve", _PLATFORM),
    "kube": LazyCommand("The platform on Kubernetes: doctor, up, status, ...", "jobs.cli.kube", _PLATFORM),
    "demo": LazyCommand("Train, release and roll back on real data; what make run runs.", "jobs.cli.demo", _PLATFORM),
    "train": LazyCommand("Train a recipe and register the result as a version.", "jobs.cli.train", _MODELS),
    "release": LazyCommand("Begin, follow and steer releases.", "jobs.cli.release", _MODELS),
    "deliver": LazyCommand("Train, check offline gates, release.", "jobs.cli.deliver", _MODELS),
    "versions": LazyCommand("Deploy versions by hand and set their weights.", "jobs.cli.versions", _MODELS),
    "materialize": LazyCommand("Fill the online feature store and keep it fresh.", "jobs.cli.materialize", _MODELS),
    "keys": LazyCommand("Create, show and revoke API keys.", "jobs.cli.keys", _OPERATION),
    "events": LazyCommand("A model's predictions and labels as they happen.", "jobs.cli.events", _OPERATION),
    "settings": LazyCommand("The settings in force and where they come from.", "jobs.cli.settings", _OPERATION),
    "bench": LazyCommand("Benchmarks.", "jobs.cli.bench", _OPERATION),
    "exit-codes": LazyCommand("The exit codes of all commands.", "jobs.cli.exit_codes", _OPERATION),
}

app = typer.Typer(
    cls=lazy_group(COMMANDS, highest=NOT_UNDERSTOOD),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def tidegate() -> None:
    """Train, release and serve models on one Ray cluster.

    Begin with [bold]tidegate local up[/], then [bold]tidegate deliver --help[/]. The commands find the local
    stack, or what the variables TIDEGATE_* name ([bold]tidegate settings[/]).
    """


def main(arguments: Sequence[str] | None = None, prog: str = "tidegate") -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: without the program's name; None for those of this process.
        prog: the program's name in usage lines.
    """
    command = typer.main.get_command(app)
    try:
        command.main(list(sys.argv[1:] if arguments is None else arguments), prog)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    raise AssertionError("a command line ends by SystemExit")
