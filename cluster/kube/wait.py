"""Wait until objects are ready, by watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from cluster.kube.errors import DeadlineError, KubeError
from cluster.kube.manifest import Key
from cluster.kube.observer import Kind, Observer
from cluster.kube.reader import Reader
from cluster.kube.readiness import Readiness
from cluster.kube.snapshot import CLUSTER, EVENTS, POD

SETTLE_S = 5.0
"""Seconds for which an outcome must hold. A controller's status is older than the change that it has not met yet:
a RayService was seen to call its new application RUNNING, by the old one's status, for 2.2 s."""

Report = Callable[[Mapping[Key, Readiness]], None]


def wait_until_ready(
    kube: Reader, keys: Sequence[Key], deadline: float, report: Report, *, settle_s: float = SETTLE_S
) -> Mapping[Key, Readiness]:
    """Wait until every object is ready and stays so for ``settle_s``.

    Args:
        kube: The API server.
        keys: What to wait for; pods, clusters and events that explain them are followed, too.
        deadline: By ``time.monotonic()``.
        report: Called with every object's readiness, at first and whenever one has changed.

    Raises:
        KubeError: an object has failed for good: it was refused, and waiting changes nothing.
        DeadlineError: the time is over; the message says what is missing and why.
    """
    namespaces = {key.namespace for key in keys if key.namespace}
    kinds = [Kind(key.api_version, key.kind, key.namespace) for key in keys]
    kinds += [Kind(*POD, each) for each in namespaces]
    kinds += [Kind(*EVENTS, each, needed=False) for each in namespaces]
    if any(key.kind in ("RayService", "RayJob") for key in keys):
        kinds += [Kind(*CLUSTER, each) for each in namespaces]
    reported: Mapping[Key, Readiness] | None = None
    outcome, since = "", time.monotonic()
    with Observer(kube, kinds, deadline) as observer:
        for snapshot, again in observer.snapshots():
            found = {key: snapshot.readiness(key) for key in keys}
            if found != reported:
                report(found)
                reported = found
            now = time.monotonic()
            if outcome != (outcome := _outcome(found)):
                since = now
            if outcome and (now >= since + settle_s or now >= deadline):
                if outcome == "ready":
                    return found
                raise KubeError(f"these have failed, and waiting does not change it:\n{_missing(found)}")
            if now >= deadline:
                raise DeadlineError(f"not ready in time:\n{_missing(found)}")
            if outcome:
                again.at = since + settle_s
    raise AssertionError("snapshots do not end")


def _outcome(found: Mapping[Key, Readiness]) -> str:
    if any(each.state == "failed" and each.final for each in found.values()):
        return "failed"
    return "ready" if all(each.state == "ready" for each in found.values()) else ""


def _missing(found: Mapping[Key, Readiness]) -> str:
    missing = sorted((each.state, key, each.why) for key, each in found.items() if each.state != "ready")
    return "\n".join(f"  {key}: {state}: {why}" for state, key, why in missing)
