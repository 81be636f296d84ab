"""The verb ``diff``: the changes that ``up`` would make, as the server would have them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from app import exit_codes
from cluster.kube.api import Kube
from cluster.kube.applying import Applied, Applier, Outcome
from cluster.kube.comparison import unified
from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import desired_objects, in_namespace
from cluster.kube.errors import KubeError
from cluster.kube.manifest import Key, Object
from cluster.kube.options import Access, Context, Json, Kubeconfig, Namespace, Overlay, Sets, errors_as_json
from cluster.kube.readback import autoscaled

_COLOURS = {"+": "\033[32m", "-": "\033[31m", "@": "\033[36m"}
_PLAIN = "\033[0m"


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one object as a unified diff; ``conflicts`` names other owners of fields in it."""

    key: Key
    diff: tuple[str, ...]
    conflicts: tuple[str, ...]


app = typer.Typer(add_completion=False)


@app.command()
def diff(
    overlay: Overlay,
    sets: Sets = [],  # noqa: B006  (typer copies it)
    as_json: Json = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Show what up would change.

    Each object is compared with the server's answer to an apply that it does not keep. Replicas that an autoscaler
    has decided are kept, as up keeps them. Values of Secrets are not shown.

    \b
    tidegate kube diff gpu+ha
    tidegate kube diff gpu --set TIDEGATE_GATEWAY_MAX_REPLICAS=8 --json

    Exit code: 0 nothing would change, 1 something would, 2 to 7 as of up, 8 the server refused something else.
    """
    with errors_as_json(as_json):
        try:
            objects = desired_objects(overlay, sets, namespace)
            kube = connect(kubeconfig, context)
            where = namespace_of(Access(kubeconfig, context, namespace))
            found = changes(kube, in_namespace(kube, objects, where))
        except KubeError as error:
            if error.exit_code == exit_codes.FAILED:  # which says here that there are differences
                error.exit_code = exit_codes.DIFF_FAILED
            raise
        if as_json:
            print(json.dumps({"changes": [_as_json(change) for change in found]}, indent=2))
        else:
            for change in found:
                _show(change, colour=sys.stdout.isatty())
        return 1 if found else 0


def changes(kube: Kube, objects: Sequence[Object]) -> list[Change]:
    """Returns the changes in the order of an apply; an object that stays as it is has none."""
    applier = Applier(kube, autoscaled(objects, None), dry_run=True)
    found = []
    for obj in objects:
        applied = applier.apply(obj)
        after = applied.after
        if applied.outcome is Outcome.CONFLICT:
            # With force, since nothing is kept: it shows what would be wanted of the fields in conflict.
            after = kube.apply(applied.sent.obj, force=True, dry_run=True)
        assert after is not None, "only a conflict leaves nothing"
        diff = unified(applied.before, after, _name(applied))
        if diff or applied.conflicts:
            conflicts = tuple(f"{each.manager!r} owns {each.field}" for each in applied.conflicts)
            found.append(Change(applied.key, tuple(diff), conflicts))
    return found


def _name(applied: Applied) -> str:
    return "/".join(part for part in (applied.key.namespace, applied.key.kind, applied.key.name) if part)


def _show(change: Change, *, colour: bool) -> None:
    for line in change.diff:
        paint = _COLOURS.get(line[:1], "") if colour else ""
        print(f"{paint}{line}{_PLAIN}" if paint else line)
    for conflict in change.conflicts:
        print(f"{change.key}: conflict: {conflict}", file=sys.stderr)


def _as_json(change: Change) -> dict[str, object]:
    key = change.key
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "diff": list(change.diff),
        "conflicts": list(change.conflicts),
    }
