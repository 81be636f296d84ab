"""The verb ``logs``: what containers print."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from cluster.kube.connection import connect, platform_namespace
from cluster.kube.errors import UsageError
from cluster.kube.logs import print_logs
from cluster.kube.options import Access, Context, Kubeconfig, Namespace, duration

FOLLOW_S = 30 * 86_400.0
app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="Default: all of the platform.", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the container before the last restart: why it ended.")
    ] = False,
    since: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Not older than 30s, 10m, 2h, 1d.", show_default=False),
    ] = None,
    tail: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="The last N lines of each. Default: all.", show_default=False),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Print what containers print, by kubectl logs.

    PART is head, autoscaler (the container beside the head's), a worker group, mlflow, redis, operator, a RayJob (its
    submitter's pod) or a pod. Lines of several pods carry the pod's name. With -f restarted containers, new pods and
    lost connections are followed (some lines may come twice), up to 40 containers at once.

    Ray's own processes, Serve's replicas and jobs log to files in their pod, /tmp/ray/session_latest/logs, which the
    dashboard and ray logs show (ray job logs ID shows a job's). They are here only where the pods run with
    RAY_LOG_TO_STDERR=1, which can be set by --set when the manifests are applied; then the files lack them.
    """
    if previous and follow:
        raise UsageError("--previous and --follow: what has ended cannot be followed; one of them is accepted")
    kube = connect(kubeconfig, context)
    where = platform_namespace(kube, Access(kubeconfig, context, namespace))
    given = {"kubeconfig": kubeconfig, "context": context}
    access = [f"--{name}={value}" for name, value in given.items() if value]
    extent = [] if tail is None else [f"--tail={tail}"]
    extent += [f"--since={math.ceil(since)}s"] if since else []
    extent += ["--previous"] if previous else []
    return print_logs(kube, where, part, access, extent, follow_s=FOLLOW_S if follow else 0.0)
