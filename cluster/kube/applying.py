"""Server-side apply of one object to a cluster that autoscalers and the operator write to, too."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster.kube.api import Kube
from cluster.kube.comparison import Difference, differences, hidden, same
from cluster.kube.errors import FieldConflictError, KubeError, NotFoundError, StaleError, TestFailedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.ownership import Conflict, conflicts, only_replica_writers, value_at
from cluster.kube.readback import Prepared, active_cluster, with_live_groups, without_scaled_replicas

_ATTEMPTS = 5


class Outcome(StrEnum):
    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of applying one object.

    ``before`` and ``after`` are the live object; ``running`` is the RayCluster that a RayService runs now.
    """

    key: Key
    outcome: Outcome
    before: Object | None
    after: Object | None
    sent: Prepared
    running: Object | None = None
    conflicts: tuple[Conflict, ...] = ()

    @property
    def overwritten(self) -> list[Difference]:
        """Values that force would change, of the fields in conflict."""
        found = []
        for conflict in self.conflicts:
            live, desired = (
                value_at(obj and hidden(obj, side), conflict.field)
                for obj, side in ((self.before, "before"), (self.sent.obj, "after"))
            )
            found += list(differences(live, desired, conflict.field.lstrip(".")))
        return found


class Applier:
    """Applies objects one by one.

    Args:
        scaled: the objects whose ``replicas`` a HorizontalPodAutoscaler decides.
        force: take fields over from their owners.
        dry_run: the server checks and answers, and keeps nothing.
    """

    def __init__(self, kube: Kube, scaled: frozenset[Key], *, force: bool = False, dry_run: bool = False) -> None:
        self._kube = kube
        self._scaled = scaled
        self._force = force
        self._dry_run = dry_run

    def apply(self, obj: Object) -> Applied:
        """Applies the object, with the decisions of autoscalers carried over into it.

        Never raises for a conflict of owners: that is an outcome, so that the other objects are applied.

        Raises:
            KubeError: the object is being deleted: the server would take it and it would go all the same.
            ApiError, UnreachableError: as ``Kube.apply`` does otherwise.
        """
        left = _ATTEMPTS
        while True:
            left -= 1
            try:
                return self._apply_once(obj)
            except StaleError:  # written by others at the same moment; it is read again
                if not left:
                    raise

    def _apply_once(self, obj: Object) -> Applied:
        key = key_of(obj)
        before = self._kube.find(key)
        if before is not None and not self._dry_run:
            _refuse_going(key, before)
        running = self._running(obj, before)
        sent = self._prepared(obj, before, running)
        conflict: tuple[Conflict, ...] = ()
        after: Object | None = None
        try:
            after = self._kube.apply(sent.obj, force=self._force, dry_run=self._dry_run)
        except FieldConflictError as error:
            conflict = tuple(conflicts(error))
            ours = self._kube.field_manager
            if obj["kind"] == "RayCluster" and before and only_replica_writers(list(conflict), before, ours):
                sent, after = self._take_groups_over(obj)
                conflict = ()
        except NotFoundError:
            if before is not None or not self._dry_run:
                raise
            after = obj  # this very set creates its namespace, so it cannot be checked there yet
        if after is None:
            return Applied(key, Outcome.CONFLICT, before, None, sent, running, conflict)
        if before is None:
            return Applied(key, Outcome.CREATED, None, after, sent, running)
        outcome = Outcome.UNCHANGED if same(before, after) else Outcome.CONFIGURED
        return Applied(key, outcome, before, after, sent, running)

    def _prepared(self, obj: Object, before: Object | None, running: Object | None) -> Prepared:
        if obj["kind"] in {"RayCluster", "RayService"}:
            return with_live_groups(obj, running)
        return Prepared(without_scaled_replicas(obj, before, self._scaled, self._kube.field_manager))

    def _running(self, obj: Object, before: Object | None) -> Object | None:
        if obj["kind"] == "RayCluster" or before is None:
            return before
        name = active_cluster(before) if obj["kind"] == "RayService" else None
        return self._kube.find(Key(obj["apiVersion"], "RayCluster", name, key_of(obj).namespace)) if name else None

    def _take_groups_over(self, obj: Object) -> tuple[Prepared, Object]:
        """Writes the worker groups although the autoscaler owns them, and loses none of its decisions.

        Two steps. A JSON patch needs no ownership: it writes the groups as wanted with the live replicas, and holds
        only for the very revision that these were read from, so that a decision made meanwhile is never overwritten
        (``force`` has no such guard). Then an apply of the groups as the server has them now, its defaults included:
        an equal list is no conflict and makes us its owner beside the other.
        """
        key, groups = key_of(obj), "/spec/workerGroupSpecs"
        left = _ATTEMPTS
        while True:
            left -= 1
            live = self._kube.get(key)
            sent = with_live_groups(obj, live)
            if self._dry_run:  # a patch that is not kept is no ground for the apply after it
                return sent, self._kube.apply(sent.obj, force=True, dry_run=True)
            patch: list[dict[str, Any]] = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
                {"op": "replace", "path": groups, "value": sent.obj["spec"]["workerGroupSpecs"]},
            ]
            try:
                patched = self._kube.json_patch(key, patch)
                equal = copy.deepcopy(sent.obj)
                equal["spec"]["workerGroupSpecs"] = patched["spec"]["workerGroupSpecs"]
                return sent, self._kube.apply(equal)
            except (TestFailedError, FieldConflictError, StaleError):
                if not left:
                    raise


def _refuse_going(key: Key, live: Object) -> None:
    since = live["metadata"].get("deletionTimestamp")
    if since:
        held = ", ".join(live["metadata"].get("finalizers") or ()) or "nothing but its own shutdown"
        raise KubeError(
            f"{key} is being deleted since {since}, held by {held}: what is applied to it now goes with it\n"
            "  wait until it is gone, then apply again"
        )
