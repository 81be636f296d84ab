"""``python -m cluster diff``: what ``up`` would change, as the server would have it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.kube.api import Kube
from cluster.kube.applying import Applied, Applier, Outcome
from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.comparison import unified
from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import add_desired, desired_objects, in_namespace
from cluster.kube.manifest import Key, Object
from cluster.kube.readback import autoscaled

DESCRIPTION = """\
Show what `up` would change: each object as it is against what the server answers to an apply that it does not keep.
Replicas that an autoscaler has decided are kept, as `up` keeps them. Values of Secrets are not shown.
"""
EPILOG = """\
exit status:
  0  nothing would change          1  something would
  2 to 7  as of `up`               8  the server said no

examples:
  python -m cluster diff gpu+ha
  python -m cluster diff gpu --set TIDEGATE_GATEWAY_MAX_REPLICAS=8 --json
"""
_COLOURS = {"+": "\033[32m", "-": "\033[31m", "@": "\033[36m"}
_PLAIN = "\033[0m"


@dataclass(frozen=True, slots=True)
class Change:
    """What would change of one object: a unified diff; ``conflicts`` names other owners of fields in it."""

    key: Key
    diff: tuple[str, ...]
    conflicts: tuple[str, ...]


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "diff",
        help="what `up` would change",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_desired(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_diff, options, failed=8))


def _diff(options: argparse.Namespace) -> int:
    objects = desired_objects(options)
    kube = connect(options.kubeconfig, options.context)
    found = changes(kube, in_namespace(kube, objects, namespace_of(options)))
    if options.json:
        print(json.dumps({"changes": [_as_json(change) for change in found]}, indent=2))
    else:
        for change in found:
            _show(change, colour=sys.stdout.isatty())
    return 1 if found else 0


def changes(kube: Kube, objects: Sequence[Object]) -> list[Change]:
    """What would change, in the order in which it would be applied; an object that stays as it is has no entry."""
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
