"""The verb ``down``: removal of what the manifests brought, except data and objects of others."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import desired_objects, in_namespace
from cluster.kube.errors import MissingKindError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.options import (
    Access,
    Context,
    Json,
    Kubeconfig,
    Namespace,
    Overlay,
    Sets,
    duration,
    errors_as_json,
)
from cluster.kube.output import to_stderr, to_stdout
from cluster.kube.removal import RemovalPlan, plan, remove

DELETION_S = 600.0

app = typer.Typer(add_completion=False)


@app.command()
def down(
    overlay: Overlay,
    sets: Sets = [],  # noqa: B006  (typer copies it)
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="PersistentVolumeClaims and their data, too.")
    ] = False,
    delete_namespace: Annotated[
        bool, typer.Option("--delete-namespace", help="The Namespace and all that is in it, too.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(parser=duration, metavar="TIME", help="Default: 10m.", show_default=False)
    ] = None,
    as_json: Json = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Remove what the manifests brought, except data.

    The order is the reverse of up: KubeRay's objects first, and each is awaited gone with its RayClusters, since a
    cluster with fault tolerance clears its keys in Redis before it goes. PersistentVolumeClaims, the Namespace and
    Secrets stay. An object that is gone already is no error.

    \b
    tidegate kube down gpu+ha --dry-run
    tidegate kube down dev --yes --delete-volumes

    Exit code: 0 it is gone, 2 not confirmed, 3 something is still there after --timeout (it is named with the
    finalizers that hold it); others as of up.
    """
    with errors_as_json(as_json):
        objects = desired_objects(overlay, sets, namespace)
        kube, where = connect(kubeconfig, context), namespace_of(Access(kubeconfig, context, namespace))
        here: list[Object] = []
        for obj in objects:
            try:
                here += in_namespace(kube, [obj], where)
            except MissingKindError:
                continue  # a kind that is not installed has no objects to remove
        found = plan(kube, here, volumes=delete_volumes, namespace=delete_namespace)
        say = to_stderr if as_json else to_stdout
        for line in lines(found, kube.server):
            say(line)
        if found.going and not dry_run:
            confirm(len(found.going), yes=yes)
            remove(kube, found.going, time.monotonic() + (timeout or DELETION_S), say)
        if as_json:
            going = [_as_json(key) for key in found.going]
            kept = [_as_json(key) | {"why": why} for key, why in found.kept]
            print(json.dumps({"removed": not dry_run, "going": going, "kept": kept}, indent=2))
        return 0


def lines(found: RemovalPlan, server: str) -> list[str]:
    """Returns the lines that say what will go and what stays."""
    text = [f"on {server} these go, in this order:"] if found.going else [f"on {server} there is nothing to remove"]
    text += [f"  {key}" for key in found.going]
    if found.kept:
        text += ["these stay:", *(f"  {key}: {why}" for key, why in found.kept)]
    return text


def confirm(count: int, *, yes: bool) -> None:
    """Asks on a terminal.

    Raises:
        UsageError: the answer is no, or there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: without a terminal --yes is needed")
    print(f"remove these {count}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was removed")


def _as_json(key: Key) -> dict[str, str | None]:
    return {"apiVersion": key.api_version, "kind": key.kind, "namespace": key.namespace, "name": key.name}
