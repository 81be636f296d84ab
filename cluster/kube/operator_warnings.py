"""What the operator says against an object that the API server has taken: its Warning events."""

from __future__ import annotations

import time
from collections.abc import Collection

from cluster.kube.api import Kube
from cluster.kube.manifest import Object

LISTEN_S = 3.0
"""The operator judges an object within a second (recorded); there is no event that says that it is content."""


class OperatorWarnings:
    """Warning events of a namespace that come after this was made."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._before = {_identity(event) for event in kube.list("v1", "Event", namespace, fields="type=Warning")}

    def sentences(self, objects: Collection[Object], listen_s: float = LISTEN_S) -> list[str]:
        """The operator's refusals of these objects, as sentences: what comes within ``listen_s``, or one of each."""
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
