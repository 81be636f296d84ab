"""The verb ``scale``: a worker group brought to another number of replicas."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cluster.kube.connection import SERVICE, connect, namespace_of, platform_namespace
from cluster.kube.errors import UsageError
from cluster.kube.manifest import Key
from cluster.kube.options import Access, Context, Json, Kubeconfig, Namespace, errors_as_json
from cluster.kube.scaling import API_VERSION, Scaled, serving_cluster
from cluster.kube.scaling import scale as scale_group

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def scale(
    group: Annotated[str, typer.Argument(help="The worker group's groupName.", show_default=False)],
    replicas: Annotated[int, typer.Argument(min=0, metavar="N", help="Number of workers.", show_default=False)],
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"The RayService. Default: {SERVICE}.", show_default=False)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="This RayCluster instead of the one that serves.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The server checks it and keeps nothing.")] = False,
    as_json: Json = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Bring a worker group to a number of replicas.

    It is a group of the RayCluster that serves, within its minReplicas and maxReplicas. The number is written only if
    it is still the one that was read; otherwise it is read again, a few times.

    Ray's autoscaler starts from N and goes on by demand; minReplicas is what keeps workers. A running cluster does
    not take the bounds from the manifests; cluster/runbook.md ("What a running cluster takes of an apply") changes
    them in both.

    ```
    tidegate kube scale training 3
    tidegate kube scale serving 2 --cluster tidegate-7x2kd --dry-run
    ```

    Exit code: 0 it is N now, 1 no such RayService or RayCluster, 2 no such group, or N is outside its bounds,
    7 others changed the group each time; others as of tidegate exit-codes.
    """
    if service and cluster:
        raise UsageError("--service and --cluster: one of them is accepted")
    access = Access(kubeconfig, context, namespace)
    with errors_as_json(as_json):
        kube = connect(kubeconfig, context)
        if cluster:
            key = Key(API_VERSION, "RayCluster", cluster, namespace_of(access))
        else:
            name = service or SERVICE
            key = serving_cluster(kube, platform_namespace(kube, access, name), name)
        found = scale_group(kube, key, group, replicas, dry_run=dry_run)
        if as_json:
            print(
                json.dumps({"cluster": key.name, "group": found.group, "before": found.before, "after": found.after})
            )
        else:
            print("\n".join(lines(found, dry_run=dry_run)))
        return 0


def lines(found: Scaled, *, dry_run: bool) -> list[str]:
    """The lines that are printed."""
    moved = (
        f"{found.before} -> {found.after} replicas" if found.before != found.after else f"is at {found.after} already"
    )
    text = [f"{found.cluster}: group {found.group}: {moved}{' (dry run)' if dry_run else ''}"]
    if found.autoscaler:
        text.append(
            "  Ray's autoscaler may change it again; minReplicas keeps workers (runbook.md: bounds of a group)"
        )
    return text
