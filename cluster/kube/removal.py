"""Removal of an overlay's objects: the plan of ``down``, its order, and the wait until they are gone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.kube.api import Kube
from cluster.kube.errors import DeadlineError, MissingKindError
from cluster.kube.manifest import Key, Object, in_apply_order, key_of

_RAY = "ray.io/v1"
_LOOK_S = 10.0
_OF_SERVICE = "ray.io/originated-from-cr-name={name},ray.io/originated-from-crd=RayService"


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """Objects that will go, in this order, and those of the manifests that stay, each with the reason."""

    going: tuple[Key, ...]
    kept: tuple[tuple[Key, str], ...]


def plan(kube: Kube, objects: Sequence[Object], *, volumes: bool = False, namespace: bool = False) -> RemovalPlan:
    """Returns the plan for those of ``objects`` that are there, in the reverse of the order of an apply.

    Args:
        volumes: PersistentVolumeClaims go, too, also those that StatefulSets made of their templates.
        namespace: the Namespace goes, too, and with it all that is in it.
    """
    going: list[Key] = []
    kept: list[tuple[Key, str]] = []
    for obj in reversed(in_apply_order(objects)):
        key = key_of(obj)
        reason = {
            "PersistentVolumeClaim": "" if volumes else "holds data; --delete-volumes removes it",
            "Namespace": "" if namespace else "others may use it; --delete-namespace removes it and all in it",
            "Secret": "a Secret is its maker's to remove",
        }.get(key.kind, "")
        try:
            live = kube.find(key)
        except MissingKindError:
            continue  # a kind that is not there has no objects
        if live is not None and reason:
            kept.append((key, reason))
        elif live is not None:
            going.append(key)
        if key.kind == "StatefulSet":
            claims = _claims(kube, obj)
            going += claims if volumes else []
            kept += [] if volumes else [(claim, "holds data; --delete-volumes removes it") for claim in claims]
    return RemovalPlan(tuple(going), tuple(kept))


def remove(kube: Kube, going: Sequence[Key], deadline: float, report: Callable[[str], None]) -> None:
    """Deletes in order; waits after each of KubeRay's objects until it and its RayClusters are gone.

    A RayCluster with fault tolerance clears its keys in Redis before it goes: Redis must not go first.

    Raises:
        DeadlineError: something is still there; it is named with the finalizers that hold it.
    """
    held: list[Key] = []
    for key in going:
        clusters = _clusters_of(kube, key) if key.kind == "RayService" else []
        answer = kube.delete(key)
        report(f"{key}: {'was gone already' if answer is None else 'deleted'}")
        if key.api_version.startswith("ray.io/"):
            for each in (key, *clusters):
                await_gone(kube, each, deadline, report)
        elif answer is not None and answer.get("kind") != "Status":
            held.append(key)
    for key in held:
        await_gone(kube, key, deadline, report)


def await_gone(kube: Kube, key: Key, deadline: float, report: Callable[[str], None]) -> None:
    """Waits until the object is gone, and reports what holds it when that changes.

    Raises:
        DeadlineError: it is still there.
    """
    reported: str | None = None
    first = kube.find(key)
    live = first
    while live is not None and first is not None and _uid(live) == _uid(first):
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"{key} is still there after the time given{_holders(live)}")
        if _holders(live) != reported:
            reported = _holders(live)
            report(f"{key}: waiting until it is gone{reported}")
        _watch_a_change(kube, key, time.monotonic() + min(left, _LOOK_S))
        live = kube.find(key)


def _watch_a_change(kube: Kube, key: Key, deadline: float) -> None:
    """Returns when the object changes or goes, or at the deadline: one that went before the watch sends nothing."""
    fields = f"metadata.name={key.name}"
    events = kube.watch(key.api_version, key.kind, key.namespace, deadline=deadline, fields=fields)
    for kind, _ in events:
        if kind != "ADDED":
            return


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def _holders(obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers") or []
    return f", held by {', '.join(finalizers)}" if finalizers else ""


def _clusters_of(kube: Kube, service: Key) -> list[Key]:
    found = kube.list(_RAY, "RayCluster", service.namespace, labels=_OF_SERVICE.format(name=service.name))
    return [Key(_RAY, "RayCluster", obj["metadata"]["name"], service.namespace) for obj in found]


def _claims(kube: Kube, stateful_set: Object) -> list[Key]:
    """Returns the claims that a StatefulSet has made (TEMPLATE-NAME-ORDINAL), which outlive it."""
    key = key_of(stateful_set)
    templates = stateful_set["spec"].get("volumeClaimTemplates") or ()
    if not templates:
        return []
    names = "|".join(re.escape(template["metadata"]["name"]) for template in templates)
    pattern = re.compile(rf"({names})-{re.escape(key.name)}-\d+")
    claims = kube.list("v1", "PersistentVolumeClaim", key.namespace)
    found = [obj["metadata"]["name"] for obj in claims if pattern.fullmatch(obj["metadata"]["name"])]
    return [Key("v1", "PersistentVolumeClaim", name, key.namespace) for name in found]
