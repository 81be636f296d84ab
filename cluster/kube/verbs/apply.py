"""The verb ``up`` (or ``apply``): manifests brought to a cluster, and the wait until they are ready."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from cluster.kube.api import Kube
from cluster.kube.applying import Applied, Applier, Outcome
from cluster.kube.connection import connect, namespace_of
from cluster.kube.desired import desired_objects, in_namespace
from cluster.kube.errors import FieldConflictError, InvalidError, KubeError, PermissionDeniedError
from cluster.kube.manifest import Key, Object
from cluster.kube.operator_warnings import OperatorWarnings
from cluster.kube.options import (
    Access,
    Context,
    DryRun,
    Json,
    Kubeconfig,
    Namespace,
    Overlay,
    Sets,
    duration,
    errors_as_json,
)
from cluster.kube.output import Say, to_stderr, to_stdout
from cluster.kube.preflight import check_all
from cluster.kube.readback import autoscaled
from cluster.kube.readiness import Readiness
from cluster.kube.running_cluster import cluster_changes
from cluster.kube.silent_errors import silent_errors
from cluster.kube.wait import wait_until_ready

AWAITED = frozenset({"RayService", "RayCluster", "Deployment", "StatefulSet"})
"""Kinds that ``--wait`` waits for; a RayJob may run for days."""

_NO_EVENTS = "warning: the operator's events cannot be read, so an object that it rejects is not reported: {}"

WAIT_S = 900.0

app = typer.Typer(add_completion=False)


@app.command()
def up(
    overlay: Overlay,
    sets: Sets = [],  # noqa: B006  (typer copies it)
    dry_run: DryRun = False,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Take fields over from other managers.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all is ready.")] = True,
    timeout: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Of --wait. Default: 15m.", show_default=False),
    ] = None,
    as_json: Json = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Bring an overlay to a cluster and wait until it is ready.

    The API server checks every object in a dry run before anything is sent; then they are applied (server-side apply,
    field manager tidegate). An object that the operator rejects ends the command within seconds with its sentence.

    Replicas that an autoscaler has decided are read back and kept, within the manifest's bounds. A field that another
    manager owns with another value is a conflict: it is reported, that object stays as it is, the others are applied.

    \b
    tidegate kube up gpu+ha --set image=NAME@sha256:…
    tidegate kube up dev --dry-run
    tidegate kube up gpu --no-wait --context staging

    Exit code: 0 applied and, with --wait, ready; 1 an object has failed; 2 refused: options, manifests, or an object
    that the operator rejects; 3 applied, but not ready in time; 4 no API server, or it does not accept the
    credentials; 5 rights or a quota are lacking; 6 a kind is not installed; 7 conflicts.
    """
    applied: list[Applied] = []
    with errors_as_json(as_json):
        objects = desired_objects(overlay, sets, namespace)
        for error in (error for obj in objects for error in silent_errors(obj)):
            to_stderr(f"warning: {error}")
        kube = connect(kubeconfig, context, warn=lambda text: to_stderr(f"warning: {text}"))
        objects = in_namespace(kube, objects, namespace_of(Access(kubeconfig, context, namespace)))
        if not dry_run:
            check_all(kube, objects, force=force_conflicts)
        say = to_stderr if as_json else to_stdout
        try:
            for one in apply_each(kube, objects, force=force_conflicts, dry_run=dry_run, say=say):
                applied.append(one)  # noqa: PERF402  (an error's document has the objects before it)
            conflict = any(each.outcome is Outcome.CONFLICT for each in applied)
            keys = [each.key for each in applied if each.key.kind in AWAITED]
            if keys and wait and not dry_run and not conflict:
                # The time is that of the wait: a slow way to the server takes nothing from it.
                wait_until_ready(kube, keys, time.monotonic() + (timeout or WAIT_S), Progress(say).report)
                say("all is ready")
        except KubeError as failure:
            failure.done = _document(applied)
            raise
        if as_json:
            print(json.dumps(_document(applied), indent=2))
        return FieldConflictError.exit_code if conflict else 0


def apply_each(kube: Kube, objects: Sequence[Object], *, force: bool, dry_run: bool, say: Say) -> Iterator[Applied]:
    """Applies the objects in their order and prints a line for each; a conflict does not stop the rest.

    Raises:
        InvalidError: the operator rejected an object that the API server had accepted.
        ApiError: the API server refused an object.
        UnreachableError: it did not answer.
    """
    applier = Applier(kube, autoscaled(objects, None), force=force, dry_run=dry_run)
    ray = [obj for obj in objects if obj["apiVersion"].startswith("ray.io/")]
    events = None
    applied = []
    for obj in objects:
        if ray and obj is ray[0] and not dry_run:
            events = _operator_events(kube, obj["metadata"]["namespace"], say)
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
    rejections = _rejections(events, changed, say)
    if rejections:
        raise InvalidError(
            "the operator rejects what the API server has accepted:\n"
            + "\n".join(f"  {line}" for line in rejections),
            status=200,
            advice="correct the manifest and apply it again",
        )


def lines(applied: Applied, *, dry_run: bool = False) -> list[str]:
    """Returns the lines that report what became of one object."""
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
    """Returns one object of ``--json``."""
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
    """Prints the health of each object when it changes."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._printed: dict[Key, str] = {}

    def report(self, found: Mapping[Key, Readiness]) -> None:
        for key, each in found.items():
            text = f"{each.state}{f': {each.why}' if each.why else ''}"
            if self._printed.get(key) != text:
                self._printed[key] = text
                self._say(f"{key}: {text}")


def _operator_events(kube: Kube, namespace: str, say: Say) -> OperatorWarnings | None:
    try:
        return OperatorWarnings(kube, namespace)
    except PermissionDeniedError as error:
        say(_NO_EVENTS.format(error.message))
        return None


def _rejections(events: OperatorWarnings | None, changed: Sequence[Object], say: Say) -> list[str]:
    try:
        return events.sentences(changed) if events is not None else []
    except PermissionDeniedError as error:
        say(_NO_EVENTS.format(error.message))
        return []


def _document(applied: Sequence[Applied]) -> dict[str, Any]:
    return {"objects": [as_json(each) for each in applied]}
