"""``tidegate kube``: the verbs of :mod:`cluster.kube.verbs`, each imported when it is called.

A verb's module has ``app``, a :class:`typer.Typer` with one command, or else ``add_parser`` of :mod:`argparse`.
"""

from __future__ import annotations

import argparse
import importlib

import typer

from jobs.cli.lazy import LazyCommand, lazy_group
from jobs.cli.pass_on import pass_on

VERBS = {
    name: LazyCommand(help, f"cluster.kube.verbs.{module}")
    for name, module, help in (
        ("doctor", "doctor", "Check if a cluster is ready for an overlay."),
        ("render", "render", "Print the manifests as plain YAML."),
        ("diff", "diff", "Show what up would change."),
        ("up", "apply", "Bring an overlay to a cluster and wait until it is ready."),
        ("apply", "apply", "The same as up."),
        ("status", "status", "Show how everything is, and why it is not ready."),
        ("train", "train", "Run a training job on the cluster that serves."),
        ("scale", "scale", "Bring a worker group to a number of replicas."),
        ("logs", "logs", "Print what containers print."),
        ("down", "down", "Remove what the manifests brought, except data."),
    )
}


def _load(name: str, module: str) -> typer.Typer:
    verb = importlib.import_module(module)
    if hasattr(verb, "app"):
        found: typer.Typer = verb.app
        return found

    def main(arguments: list[str]) -> int:
        parser = argparse.ArgumentParser(prog="tidegate kube")
        verb.add_parser(parser.add_subparsers(dest="verb", required=True))
        options = parser.parse_args([name, *arguments])
        return int(options.run(options))

    return pass_on(main)


app = typer.Typer(cls=lazy_group(VERBS, highest=255, load=_load), no_args_is_help=True)


@app.callback()
def kube() -> None:
    """The platform on a Kubernetes cluster, which is the one that kubectl would take."""
