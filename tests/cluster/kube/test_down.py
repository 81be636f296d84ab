"""Objects that go and stay, and their order; composed from the recorded ways in which a server deletes."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cluster.kube.errors import DeadlineError
from cluster.kube.manifest import Key, Object
from cluster.kube.removal import await_gone, plan, remove
from tests.cluster.kube.conftest import RAY, Serve
from tests.support.fake_api_server import Exchange, Hold, composed, moved, recorded, transcript

STORY = "a set of objects of our own; no transcript deletes one"
SERVICE = Key("ray.io/v1", "RayService", "sv", "demo")
SET: list[Object] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "demo"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "demo"}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared", "namespace": "demo"}},
    {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "redis", "namespace": "demo"},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
    },
    {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": "sv", "namespace": "demo"}},
]


def _there(*, without: str = "") -> list[Exchange]:
    paths = {
        "Namespace": "/api/v1/namespaces/demo",
        "ConfigMap": "/api/v1/namespaces/demo/configmaps/settings",
        "Secret": "/api/v1/namespaces/demo/secrets/key",
        "PersistentVolumeClaim": "/api/v1/namespaces/demo/persistentvolumeclaims/shared",
        "StatefulSet": "/apis/apps/v1/namespaces/demo/statefulsets/redis",
        "RayService": f"{RAY}/namespaces/demo/rayservices/sv",
    }
    missing = recorded("09_delete", "delete again: 404")
    found = [
        composed(STORY, "GET", paths[obj["kind"]], obj)
        if obj["kind"] != without
        else moved(missing, method="GET", path=paths[obj["kind"]])
        for obj in SET
    ]
    names = ["shared", "data-redis-0", "data-redis-x", "data-redis2-0"]
    claims = {"items": [{"metadata": {"name": name}} for name in names], "metadata": {"resourceVersion": "1"}}
    return [*found, composed(STORY, "GET", "/api/v1/namespaces/demo/persistentvolumeclaims", claims)]


def test_plan_is_in_reverse_order_without_data_namespace_and_secrets(serve: Serve) -> None:
    found = plan(serve(*_there()).kube, SET)
    assert [key.kind for key in found.going] == ["RayService", "StatefulSet", "ConfigMap"]
    kept = {f"{key.kind}/{key.name}": why for key, why in found.kept}
    assert set(kept) == {
        "PersistentVolumeClaim/data-redis-0",
        "PersistentVolumeClaim/shared",
        "Secret/key",
        "Namespace/demo",
    }
    assert "--delete-volumes" in kept["PersistentVolumeClaim/shared"]


def test_plan_never_removes_secrets(serve: Serve) -> None:
    found = plan(serve(*_there()).kube, SET, volumes=True, namespace=True)
    assert [f"{key.kind}/{key.name}" for key in found.going] == [
        "RayService/sv",
        "StatefulSet/redis",
        "PersistentVolumeClaim/data-redis-0",
        "PersistentVolumeClaim/shared",
        "ConfigMap/settings",
        "Namespace/demo",
    ]
    assert [key.kind for key, _ in found.kept] == ["Secret"]


def test_missing_objects_are_not_in_the_plan(serve: Serve) -> None:
    found = plan(serve(*_there(without="RayService")).kube, SET)
    assert [key.kind for key in found.going] == ["StatefulSet", "ConfigMap"]


def test_the_service_and_its_clusters_are_awaited_before_the_rest_goes(serve: Serve) -> None:
    # The service's states while it goes are the recorded ones.
    lines = [line for line in transcript("23_rayservice_upgrade") if line.get("watch") == "rayservices"]
    going, gone = lines[-2], lines[-1]
    assert (going["type"], gone["type"]) == ("MODIFIED", "DELETED")
    deleted = recorded_delete()
    path = f"{RAY}/namespaces/demo/rayservices/sv"
    missing = recorded("09_delete", "delete again: 404")
    labels = "labelSelector=ray.io%2Foriginated-from-cr-name%3Dsv%2Cray.io%2Foriginated-from-crd%3DRayService"
    collection = f"{RAY}/namespaces/demo/rayservices?fieldSelector=metadata.name%3Dsv"
    settings = "/api/v1/namespaces/demo/configmaps/settings"
    success = recorded("09_delete", "no finalizer").body
    served = serve(
        composed(
            STORY,
            "GET",
            f"{RAY}/namespaces/demo/rayclusters?{labels}",
            {"items": [{"metadata": {"name": "sv-f5l4z"}}], "metadata": {"resourceVersion": "1"}},
        ),
        deleted,
        composed(STORY, "GET", path, going["object"]),
        moved(missing, method="GET", path=path),
        composed(STORY, "GET", collection, {"items": [going["object"]], "metadata": {"resourceVersion": "9"}}),
        composed(STORY, "GET", f"{collection}&watch=true&resourceVersion=9", (gone,)),
        moved(missing, method="GET", path=f"{RAY}/namespaces/demo/rayclusters/sv-f5l4z"),
        composed(STORY, "DELETE", settings, success),
    )
    printed: list[str] = []
    remove(served.kube, [SERVICE, Key("v1", "ConfigMap", "settings", "demo")], time.monotonic() + 10, printed.append)
    assert printed == [
        "RayService demo/sv: deleted",
        "RayService demo/sv: waiting until it is gone, held by ray.io/rayservice-finalizer",
        "ConfigMap demo/settings: deleted",
    ]
    order = [(asked.method, asked.path) for asked in served.server.requests]
    assert order.index(("GET", f"{RAY}/namespaces/demo/rayclusters/sv-f5l4z")) < order.index(("DELETE", settings))


def test_object_that_finalizers_hold_is_named_at_the_deadline(serve: Serve) -> None:
    never = threading.Event()
    held = recorded_delete().body
    collection = f"{RAY}/namespaces/demo/rayservices?fieldSelector=metadata.name%3Dsv"
    served = serve(
        composed(STORY, "GET", f"{RAY}/namespaces/demo/rayservices/sv", held),
        composed(STORY, "GET", collection, {"items": [held], "metadata": {"resourceVersion": "9"}}),
        composed(STORY, "GET", f"{collection}&watch=true&resourceVersion=9", (Hold(never),)),
    )
    printed: list[str] = []
    with pytest.raises(
        DeadlineError, match=r"RayService demo/sv is still there .* ray.io/rayservice-finalizer"
    ) as caught:
        await_gone(served.kube, SERVICE, time.monotonic() + 0.5, printed.append)
    assert caught.value.exit_code == 3
    never.set()


def test_new_object_under_an_old_name_is_not_waited_for(serve: Serve) -> None:
    path = f"{RAY}/namespaces/demo/rayservices/sv"
    collection = f"{RAY}/namespaces/demo/rayservices?fieldSelector=metadata.name%3Dsv"
    old, new = _service("1"), _service("2")
    served = serve(
        composed(STORY, "GET", path, old),
        composed(STORY, "GET", path, new),
        composed(STORY, "GET", collection, {"items": [old], "metadata": {"resourceVersion": "9"}}),
        composed(STORY, "GET", f"{collection}&watch=true&resourceVersion=9", ({"type": "DELETED", "object": old},)),
    )
    await_gone(served.kube, SERVICE, time.monotonic() + 10, lambda text: None)


def _service(uid: str) -> dict[str, Any]:
    metadata = {"name": "sv", "namespace": "demo", "uid": uid, "resourceVersion": uid}
    return {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": metadata}


def recorded_delete() -> Exchange:
    """The DELETE of the RayService: it answers with the object, which its finalizer holds."""
    notes = [line["drive"] for line in transcript("23_rayservice_upgrade") if "drive" in line]
    found = [
        each for each in notes if each["request"]["method"] == "DELETE" and "rayservices" in each["request"]["path"]
    ]
    return composed("recorded", "DELETE", found[0]["request"]["path"], found[0]["response"]["body"])
