"""The verb ``doctor``: checks of a cluster for an overlay, before anything is sent to it."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.kube.connection import connect, namespace_of
from cluster.kube.doctor import needs, report
from cluster.kube.doctor.checks import examine
from cluster.kube.options import Access, Context, Json, Kubeconfig, Namespace, Sets, errors_as_json
from cluster.kube.render import render

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    overlay: Annotated[str, typer.Argument(metavar="OVERLAY", help="As of up.")] = "base",
    as_json: Json = False,
    sets: Sets = [],  # noqa: B006  (typer copies it)
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Check if a cluster is ready for an overlay.

    Checked are the API server, your rights, kinds, the KubeRay operator, Secrets and their keys, storage classes, and
    every object by a dry run. Nothing is changed. Each line is ok, a warning, a problem with what to do about it, or
    unknown where you may not look.

    \b
    tidegate kube doctor ha
    tidegate kube doctor gpu+mesh --set image=NAME@sha256:…
    tidegate kube doctor --json | jq '.checks[] | select(.level == "problem")'

    Exit code: 1 with a problem, else 0; others as of tidegate exit-codes.
    """
    with errors_as_json(as_json):
        rendered = render(overlay, sets, namespace)
        where = needs.namespace_of(rendered, namespace_of(Access(kubeconfig, context, namespace)))
        checks = examine(connect(kubeconfig, context), rendered, where)
        print(report.as_json(overlay, where, checks) if as_json else report.as_text(checks))
        return report.exit_code(checks)
