"""Rejections by the KubeRay operator of objects that the API server has accepted: its Warning events.

About 90 rules live only in the operator (KubeRay 1.7.0, ``ray-operator/controllers/ray/utils/validation.go``). It
validates an object after the API server has answered 201, and writes a Warning event whose reason begins with
``Invalid``; a RayCluster that it rejects has no other sign of it.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from cluster.kube.api import Kube
from cluster.kube.manifest import Object

LISTEN_S = 3.0
"""The operator validates an object within a second (recorded); no event says that it has accepted one."""


class OperatorWarnings:
    """Warning events of a namespace that are written after this object was made."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._before = {_identity(event) for event in kube.list("v1", "Event", namespace, fields="type=Warning")}

    def sentences(self, objects: Collection[Object], listen_s: float = LISTEN_S) -> list[str]:
        """Returns the operator's rejections of ``objects`` as sentences, at most one per object.

        Waits at most ``listen_s`` seconds, and no longer than until each object has one.
        """
        uids = {obj["metadata"]["uid"]: obj for obj in objects}
        found: dict[str, str] = {}
        deadline = time.monotonic() + listen_s
        if not uids:
            return []
        for kind, event in self._kube.watch("v1", "Event", self._namespace, deadline=deadline, fields="type=Warning"):
            uid = (event.get("involvedObject") or {}).get("uid")
            reason = str(event.get("reason", ""))
            if kind == "DELETED" or uid is None or uid not in uids or not reason.startswith("Invalid"):
                continue
            if _identity(event) not in self._before:
                obj = uids[uid]
                found[uid] = f"{obj['kind']} {obj['metadata']['name']}: {reason}: {event.get('message', '')}"
            if len(found) == len(uids):
                break
        return list(found.values())


def _identity(event: Object) -> tuple[str, str]:
    # An event that repeats is counted up in place: its revision moves.
    metadata = event["metadata"]
    return str(metadata.get("uid") or metadata["name"]), str(metadata.get("resourceVersion", ""))
