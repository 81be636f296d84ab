"""Waiting follows watches, tells changes, and ends when nothing can change any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from cluster.kube.errors import DeadlineError, KubeError, PermissionDeniedError
from cluster.kube.manifest import Key, Object
from cluster.kube.readiness import Readiness
from cluster.kube.wait import wait_until_ready
from tests.cluster.kube.recorded import Recorded, transcript

CLAIM = Key("v1", "PersistentVolumeClaim", "shared", "n")
SERVICE = Key("ray.io/v1", "RayService", "sv", "demo")
SETTLE_S = 0.4


def claim(phase: str) -> Object:
    metadata = {"name": CLAIM.name, "namespace": CLAIM.namespace}
    return {
        "apiVersion": "v1",
        "kind": CLAIM.kind,
        "metadata": metadata,
        "spec": {},
        "status": {"phase": phase},
    }


class Told:
    """Reports; a test can wait for a state."""

    def __init__(self) -> None:
        self.reports: list[Mapping[Key, Readiness]] = []
        self._changed = threading.Condition()

    def __call__(self, found: Mapping[Key, Readiness]) -> None:
        with self._changed:
            self.reports.append(found)
            self._changed.notify_all()

    def wait_for(self, key: Key, state: str) -> None:
        with self._changed:
            met = self._changed.wait_for(
                lambda: bool(self.reports) and self.reports[-1][key].state == state, timeout=10
            )
            assert met, self.reports

    def states(self, key: Key) -> list[str]:
        return [report[key].state for report in self.reports]


def test_wait_ends_when_readiness_has_settled() -> None:
    kube, told = Recorded(), Told()

    def drive() -> None:
        told.wait_for(CLAIM, "unknown")
        kube.change("ADDED", claim("Pending"))
        told.wait_for(CLAIM, "progressing")
        kube.change("MODIFIED", claim("Bound"))
        told.wait_for(CLAIM, "ready")
        kube.change("MODIFIED", claim("Pending"))  # ready, but not for long enough
        told.wait_for(CLAIM, "progressing")
        kube.change("MODIFIED", claim("Bound"))

    driver = threading.Thread(target=drive)
    driver.start()
    # Longer than a report takes to be acted on, so that the first ready is taken back before it counts.
    found = wait_until_ready(kube, [CLAIM], time.monotonic() + 20, told, settle_s=1.5)
    driver.join()
    assert found[CLAIM].state == "ready"
    assert told.states(CLAIM) == ["unknown", "progressing", "ready", "progressing", "ready"]


def test_deadline_error_names_what_is_not_ready() -> None:
    kube = Recorded(claim("Pending"))
    missing = Key("v1", "PersistentVolumeClaim", "nowhere", "n")
    with pytest.raises(DeadlineError) as over:
        wait_until_ready(kube, [CLAIM, missing], time.monotonic() + 0.6, lambda found: None)
    said = str(over.value)
    assert "PersistentVolumeClaim n/shared: progressing: not bound" in said
    assert "PersistentVolumeClaim n/nowhere: unknown: is not there" in said


def test_ready_object_takes_no_longer_than_settling() -> None:
    begin = time.monotonic()
    wait_until_ready(Recorded(claim("Bound")), [CLAIM], begin + 20, lambda found: None, settle_s=SETTLE_S)
    assert SETTLE_S <= time.monotonic() - begin < 10


def test_refusal_by_the_operator_ends_the_wait() -> None:
    refusal = {"type": "Ready", "status": "False", "reason": "ValidationFailed", "message": "type YOLO is invalid"}
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "sv", "namespace": "demo"},
        "spec": {},
        "status": {"conditions": [refusal]},
    }
    begin = time.monotonic()
    with pytest.raises(KubeError, match="change it:\n  RayService demo/sv: failed: refused: type YOLO is invalid"):
        wait_until_ready(Recorded(service), [SERVICE], begin + 60, lambda found: None, settle_s=SETTLE_S)
    assert time.monotonic() - begin < 20


def test_kind_that_cannot_be_watched_raises() -> None:
    kube = Recorded(claim("Bound"))
    kube.refused["Event"] = PermissionDeniedError("events are forbidden", status=403)
    wait_until_ready(kube, [CLAIM], time.monotonic() + 20, lambda found: None, settle_s=SETTLE_S)
    kube.refused["PersistentVolumeClaim"] = PermissionDeniedError("claims are forbidden", status=403)
    with pytest.raises(PermissionDeniedError, match="claims are forbidden"):
        wait_until_ready(kube, [CLAIM], time.monotonic() + 60, lambda found: None)


def test_a_recorded_service_becomes_ready_by_way_of_its_start() -> None:
    kube, told = Recorded(), Told()

    def drive() -> None:
        for line in transcript("23_rayservice_upgrade"):
            if line["t"] > 29.31:  # the upgrade follows
                return
            obj = {"apiVersion": "v1", **line["object"]}
            kube.change(line["type"], obj)
            if obj["kind"] == "RayService" and "status" in obj:
                time.sleep(0.5)  # bursts are one snapshot; these were seconds apart

    driver = threading.Thread(target=drive)
    driver.start()
    found = wait_until_ready(kube, [SERVICE], time.monotonic() + 30, told, settle_s=1.0)
    driver.join()
    assert found[SERVICE].why == "1 application, 1 endpoint on sv-f5l4z"
    assert told.states(SERVICE)[-1] == "ready"
    assert any("cluster sv-f5l4z starts" in report[SERVICE].why for report in told.reports)
