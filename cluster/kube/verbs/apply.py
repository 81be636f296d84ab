"""``python -m cluster up`` (or ``apply``): manifests brought to a cluster, and what comes of them awaited."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.kube.api import Kube
from cluster.kube.applying import Applied, Applier, Outcome
from cluster.kube.cli import Say, Verbs, add_access, run, to_stderr, to_stdout
from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import add_desired, desired_objects, in_namespace
from cluster.kube.durations import seconds
from cluster.kube.errors import FieldConflictError, InvalidError, KubeError, PermissionDeniedError, UsageError
from cluster.kube.health import Health
from cluster.kube.manifest import Key, Object
from cluster.kube.operator_warnings import OperatorWarnings
from cluster.kube.readback import autoscaled
from cluster.kube.rules import violations, warnings
from cluster.kube.running import cluster_changes
from cluster.kube.wait import wait_until_ready

AWAITED = frozenset({"RayService", "RayCluster", "Deployment", "StatefulSet"})
"""What ``--wait`` waits for; a RayJob may run for days."""

_UNSEEN = "warning: what the operator says against an object cannot be seen: {}"

DESCRIPTION = """\
Bring the manifests of an overlay to a cluster by server-side apply, as field manager `tidegate`, and wait until all
of it is ready. What the operator would refuse is refused before anything is sent.

Replicas that an autoscaler has decided are read back and kept, within the manifest's bounds. A field that another
manager owns with another value is a conflict: it is told, the object is left as it is, and the others are applied.
"""
EPILOG = """\
exit status:
  0  applied and, with --wait, ready
  2  refused: wrong options, manifests, or rules of the operator
  3  applied, but not ready in time; what is missing is told
  4  no API server, or it does not know us          5  rights or a quota are lacking
  6  a kind is not installed                        7  conflicts; see --force-conflicts

examples:
  python -m cluster up gpu+ha --set image=NAME@sha256:…
  python -m cluster up dev --dry-run
  python -m cluster up gpu --no-wait --context staging
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "up",
        aliases=["apply"],
        help="bring manifests to a cluster and wait until they are ready",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_desired(parser)
    parser.add_argument("--dry-run", action="store_true", help="the server checks everything and keeps nothing")
    parser.add_argument("--force-conflicts", action="store_true", help="take fields over from other managers")
    parser.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, default=True, help="until all is ready (default: yes)"
    )
    parser.add_argument("--timeout", type=seconds, default=900.0, metavar="TIME", help="of --wait (default: 15m)")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_up, options))


def _up(options: argparse.Namespace) -> int:
    objects = desired_objects(options)
    refuse_violations(objects, to_stderr)
    kube = connect(options.kubeconfig, options.context, warn=lambda text: to_stderr(f"warning: {text}"))
    objects = in_namespace(kube, objects, namespace_of(options))
    say = to_stderr if options.json else to_stdout
    applied: list[Applied] = []
    try:
        for one in apply_each(kube, objects, force=options.force_conflicts, dry_run=options.dry_run, say=say):
            applied.append(one)  # noqa: PERF402  (what came before an error is told with it)
        conflict = any(each.outcome is Outcome.CONFLICT for each in applied)
        keys = [each.key for each in applied if each.key.kind in AWAITED]
        if keys and options.wait and not options.dry_run and not conflict:
            # The time is that of the wait: a slow way to the server takes nothing from it.
            wait_until_ready(kube, keys, time.monotonic() + options.timeout, Progress(say).report)
            say("all is ready")
    except KubeError as error:
        error.done = _document(applied)
        raise
    if options.json:
        print(json.dumps(_document(applied), indent=2))
    return FieldConflictError.exit_code if conflict else 0


def refuse_violations(objects: Sequence[Object], say: Say) -> None:
    """Raise ``UsageError`` with everything that the operator would refuse; say what it takes and never works."""
    found = [violation for obj in objects for violation in violations(obj)]
    for doubt in (doubt for obj in objects for doubt in warnings(obj)):
        say(f"warning: {doubt}")
    if found:
        lines = "\n".join(f"  {violation}" for violation in found)
        raise UsageError(f"the operator would refuse this, so nothing was sent:\n{lines}")


def apply_each(kube: Kube, objects: Sequence[Object], *, force: bool, dry_run: bool, say: Say) -> Iterator[Applied]:
    """Apply the objects in their order, a line each; conflicts are told and do not stop the rest.

    Raises:
        InvalidError: the operator refused an object after the server had taken it.
        ApiError, UnreachableError: the server did.
    """
    applier = Applier(kube, autoscaled(objects, None), force=force, dry_run=dry_run)
    ray = [obj for obj in objects if obj["apiVersion"].startswith("ray.io/")]
    refusals = None
    applied = []
    for obj in objects:
        if ray and obj is ray[0] and not dry_run:
            refusals = _refusals(kube, obj["metadata"]["namespace"], say)
        one = applier.apply(obj)
        applied.append(one)
        for line in lines(one, dry_run=dry_run):
            say(line)
        yield one
    changed = [
        each.after
        for each in applied
        if each.after is not None
        and each.key.api_version.startswith("ray.io/")
        and each.outcome in {Outcome.CREATED, Outcome.CONFIGURED}
    ]
    said = _said(refusals, changed, say)
    if said:
        raise InvalidError(
            "the operator refuses what the server has taken:\n" + "\n".join(f"  {line}" for line in said),
            status=200,
            advice="correct the manifest and apply it again",
        )


def lines(applied: Applied, *, dry_run: bool = False) -> list[str]:
    """What is said of one object."""
    found = [f"{applied.key}: {applied.outcome}{' (dry run)' if dry_run else ''}"]
    found += [f"  {carried}" for carried in applied.sent.carried if carried.manifest != carried.sent]
    if applied.outcome is Outcome.CONFLICT:
        found += [f"  {conflict.manager!r} owns {conflict.field}" for conflict in applied.conflicts]
        found.append("  --force-conflicts would overwrite:")
        found += [f"    {difference}" for difference in applied.overwritten]
    if applied.key.kind == "RayService" and applied.after is not None and applied.running is not None:
        found += [f"  {line}" for line in cluster_changes(applied.sent.obj, applied.running)]
    return found


def as_json(applied: Applied) -> dict[str, Any]:
    """One object of ``--json``."""
    key = applied.key
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "outcome": applied.outcome.value,
        "replicas": {carried.group: carried.sent for carried in applied.sent.carried},
        "conflicts": [{"manager": each.manager, "field": each.field} for each in applied.conflicts],
    }


class Progress:
    """Says how each object is when that changes, and nothing while it does not."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: dict[Key, str] = {}

    def report(self, found: Mapping[Key, Health]) -> None:
        for key, health in found.items():
            text = f"{health.state}{f': {health.why}' if health.why else ''}"
            if self._said.get(key) != text:
                self._said[key] = text
                self._say(f"{key}: {text}")


def _refusals(kube: Kube, namespace: str, say: Say) -> OperatorWarnings | None:
    try:
        return OperatorWarnings(kube, namespace)
    except PermissionDeniedError as error:
        say(_UNSEEN.format(error.message))
        return None


def _said(refusals: OperatorWarnings | None, changed: Sequence[Object], say: Say) -> list[str]:
    try:
        return refusals.sentences(changed) if refusals is not None else []
    except PermissionDeniedError as error:
        say(_UNSEEN.format(error.message))
        return []


def _document(applied: Sequence[Applied]) -> dict[str, Any]:
    return {"objects": [as_json(each) for each in applied]}
