"""``python -m cluster down``: what the manifests brought is removed, but for data and what is others'."""

from __future__ import annotations

import argparse
import json
import sys
import time

from cluster.kube.cli import Verbs, add_access, run, to_stderr, to_stdout
from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import add_desired, desired_objects, in_namespace
from cluster.kube.durations import seconds
from cluster.kube.errors import MissingKindError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.removal import Plan, plan, remove

DESCRIPTION = """\
Remove what an overlay's manifests brought, in the reverse order: KubeRay's objects first, each awaited gone with its
RayClusters, since a cluster with fault tolerance clears its keys in Redis before it goes. PersistentVolumeClaims, the
Namespace and Secrets stay. What is gone already is no error.
"""
EPILOG = """\
exit status:
  0  it is gone          2  not confirmed
  3  something is still there after --timeout; it is named with the finalizers that hold it
  others, as of `up`

examples:
  python -m cluster down gpu+ha --dry-run
  python -m cluster down dev --yes --delete-volumes
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "down",
        help="remove what the manifests brought",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_desired(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    parser.add_argument("--delete-volumes", action="store_true", help="PersistentVolumeClaims and their data, too")
    parser.add_argument("--delete-namespace", action="store_true", help="the Namespace and all that is in it, too")
    parser.add_argument("--timeout", type=seconds, default=600.0, metavar="TIME", help="(default: 10m)")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_down, options))


def _down(options: argparse.Namespace) -> int:
    objects = desired_objects(options)
    kube, namespace = connect(options.kubeconfig, options.context), namespace_of(options)
    here: list[Object] = []
    for obj in objects:
        try:
            here += in_namespace(kube, [obj], namespace)
        except MissingKindError:
            continue  # a kind that is not installed has no objects to remove
    found = plan(kube, here, volumes=options.delete_volumes, namespace=options.delete_namespace)
    say = to_stderr if options.json else to_stdout
    for line in lines(found, kube.server):
        say(line)
    if found.going and not options.dry_run:
        confirm(len(found.going), yes=options.yes)
        remove(kube, found.going, time.monotonic() + options.timeout, say)
    if options.json:
        going = [_as_json(key) for key in found.going]
        kept = [_as_json(key) | {"why": why} for key, why in found.kept]
        print(json.dumps({"removed": not options.dry_run, "going": going, "kept": kept}, indent=2))
    return 0


def lines(found: Plan, server: str) -> list[str]:
    """What will go and what stays."""
    text = [f"on {server} these go, in this order:"] if found.going else [f"on {server} there is nothing to remove"]
    text += [f"  {key}" for key in found.going]
    if found.kept:
        text += ["these stay:", *(f"  {key}: {why}" for key, why in found.kept)]
    return text


def confirm(count: int, *, yes: bool) -> None:
    """Ask on a terminal.

    Raises:
        UsageError: the answer is no, or there is nobody to ask.
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
