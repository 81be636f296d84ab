"""Scaling by a guarded patch: the recorded object and patch; refusals before anything is sent."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cluster.kube.errors import InvalidError, TestFailedError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.scaling import Scaled, scale, serving_cluster
from tests.cluster.kube.conftest import RAY, Serve
from tests.support.fake_api_server import Exchange, composed, moved, recorded, transcript

RC = Key("ray.io/v1", "RayCluster", "rc", "demo")
PATH = f"{RAY}/namespaces/demo/rayclusters/rc"
UP = "scale 1 -> 2 by JSON patch with test"
STORY = "the recorded object, read before its patch"
PATCHES = "application/json-patch+json"


def test_scale_sends_the_recorded_patch(serve: Serve) -> None:
    served = serve(_got(_live()), recorded("20_raycluster_lifecycle", UP))
    assert scale(served.kube, RC, "w", 2) == Scaled(RC, "w", 1, 2, autoscaler=False)


def test_scale_to_the_present_number_sends_no_patch(serve: Serve) -> None:
    assert scale(serve(_got(_live())).kube, RC, "w", 1).after == 1


def test_failed_test_operation_reads_again(serve: Serve) -> None:
    later = _live(replicas=0)
    again = [
        {"op": "test", "path": "/spec/workerGroupSpecs/0/groupName", "value": "w"},
        {"op": "test", "path": "/spec/workerGroupSpecs/0/replicas", "value": 0},
        {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 2},
    ]
    served = serve(
        _got(_live()),
        _got(later),
        _failing(recorded("20_raycluster_lifecycle", UP).request.body),
        composed(STORY, "PATCH", f"{PATH}?fieldManager=rayplat", later, sent=again, content_type=PATCHES),
    )
    assert scale(served.kube, RC, "w", 2).before == 0


def test_scale_is_repeated_after_a_conflicting_write(serve: Serve) -> None:
    stale = recorded("02_ssa", "stale resourceVersion")
    sent = recorded("20_raycluster_lifecycle", UP)
    crossed = moved(stale, method="PATCH", path=PATH, query=sent.request.query, body=sent.request.body)
    crossed = moved(crossed, content_type=PATCHES)
    served = serve(_got(_live()), crossed, sent)
    assert scale(served.kube, RC, "w", 2).after == 2


def test_scale_ends_after_five_conflicting_writes(serve: Serve) -> None:
    served = serve(_got(_live()), _failing(recorded("20_raycluster_lifecycle", UP).request.body))
    with pytest.raises(TestFailedError):
        scale(served.kube, RC, "w", 2)
    assert [asked.method for asked in served.server.requests].count("PATCH") == 5


def test_a_schema_error_is_no_failed_test(serve: Serve) -> None:
    # Recorded of another patch: what tells the two apart are the causes.
    broken = recorded("04_patch", "a JSON patch that breaks the schema")
    sent = recorded("20_raycluster_lifecycle", UP).request
    served = serve(_got(_live()), moved(broken, path=sent.path, body=sent.body))
    with pytest.raises(InvalidError, match="must be of type integer"):
        scale(served.kube, RC, "w", 2)
    assert [asked.method for asked in served.server.requests].count("PATCH") == 1


@pytest.mark.parametrize(
    ("group", "replicas", "message"),
    [
        ("nope", 1, "has no worker group 'nope'; it has: w"),
        (
            "w",
            99,
            "outside the bounds of group 'w' of RayCluster demo/rc: minReplicas is 1, maxReplicas is 3",
        ),
    ],
)
def test_unknown_group_or_bad_number_sends_nothing(serve: Serve, group: str, replicas: int, message: str) -> None:
    served = serve(_got(_live()))
    with pytest.raises(UsageError, match=message):
        scale(served.kube, RC, group, replicas)
    assert {asked.method for asked in served.server.requests} == {"GET"}


@pytest.mark.parametrize(("line", "cluster"), [("sv-f5l4z", "sv-f5l4z"), (None, None)])
def test_the_cluster_that_serves(serve: Serve, line: str | None, cluster: str | None) -> None:
    states = [found["object"] for found in transcript("23_rayservice_upgrade") if found.get("watch") == "rayservices"]
    active = [obj for obj in states if _active(obj) == line]
    kube = serve(composed(STORY, "GET", f"{RAY}/namespaces/demo/rayservices/sv", active[0])).kube
    if cluster is None:
        with pytest.raises(UsageError, match="has no RayCluster yet; --cluster names one"):
            serving_cluster(kube, "demo", "sv")
    else:
        assert serving_cluster(kube, "demo", "sv").name == cluster


def _active(service: Object) -> Any:
    status = service.get("status") or {}
    parts = [status.get(part) or {} for part in ("activeServiceStatus", "pendingServiceStatus")]
    return next((part["rayClusterName"] for part in parts if part.get("rayClusterName")), None)


def _live(replicas: int = 1) -> Object:
    obj: Object = copy.deepcopy(recorded("20_raycluster_lifecycle", "apply RayCluster").body)
    obj["spec"]["workerGroupSpecs"][0]["replicas"] = replicas
    return obj


def _got(live: Object) -> Exchange:
    return composed(STORY, "GET", PATH, live)


def _failing(body: Any) -> Exchange:
    return moved(recorded("04_patch", "JSON patch with a test that fails"), path=PATH, body=body)
