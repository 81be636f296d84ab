"""``tidegate kube``: the verbs of :mod:`cluster.kube.verbs`, each imported when it is called."""

from __future__ import annotations

import typer

from jobs.cli.lazy import LazyCommand, lazy_group

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


app = typer.Typer(cls=lazy_group(VERBS, highest=255), add_completion=False)


@app.callback()
def kube() -> None:
    """The platform on a Kubernetes cluster, which is the one that kubectl would take."""
