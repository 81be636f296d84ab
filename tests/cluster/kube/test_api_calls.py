"""Objects in and out of a recorded server; what is retried and what is not."""

from __future__ import annotations

import itertools
import time

import pytest

from cluster.kube import errors, transport
from cluster.kube.manifest import Key
from tests.cluster.kube.conftest import RAY, Serve, resources
from tests.support.fake_api_server import Drop, composed, recorded

DEMO = Key("ray.io/v1", "RayCluster", "demo", "team-a")
DEMO_PATH = f"{RAY}/namespaces/team-a/rayclusters/demo"


def test_apply_creates_then_leaves_alone(serve: Serve) -> None:
    created = recorded("02_ssa", "apply a new RayCluster")
    again = recorded("02_ssa", "apply it again unchanged")
    assert (created.status, again.status) == (201, 200)
    discovery = recorded("01_discovery", "resources of ray.io/v1")
    kube = serve(discovery, created, again, in_order=True).kube
    manifest = created.request.body
    assert kube.apply(manifest) == created.body  # the official client's typed call gives None here
    assert kube.apply(manifest)["metadata"]["resourceVersion"] == created.body["metadata"]["resourceVersion"]


def test_dry_run_keeps_nothing(serve: Serve) -> None:
    dry = recorded("02_ssa", "dry run of a new object")
    kube = serve(dry, recorded("02_ssa", "nothing was kept")).kube
    assert kube.apply(dry.request.body, dry_run=True)["kind"] == "RayCluster"
    assert kube.find(Key("ray.io/v1", "RayCluster", "dry", "team-a")) is None


def test_conflict_then_force(serve: Serve) -> None:
    conflict = recorded("03_ssa_conflicts", "same manifest applied again")
    forced = recorded("03_ssa_conflicts", "force: 200")
    kube = serve(conflict, forced).kube
    with pytest.raises(errors.FieldConflictError):
        kube.apply(conflict.request.body)
    assert kube.apply(conflict.request.body, force=True)["metadata"]["generation"] == 3


def test_json_patch_holds_and_fails(serve: Serve) -> None:
    holds = recorded("04_patch", "JSON patch with a test that holds")
    fails = recorded("04_patch", "JSON patch with a test that fails")
    kube = serve(holds, fails).kube
    assert kube.json_patch(DEMO, holds.request.body)["spec"]["workerGroupSpecs"][0]["replicas"] == 3
    with pytest.raises(errors.TestFailedError):
        kube.json_patch(DEMO, fails.request.body)


def test_warning_header_reaches_the_callback(serve: Serve) -> None:
    warned: list[str] = []
    dropped = recorded("04_patch", "merge patch with unknown field: 200")
    answer = composed(
        "our calls send no merge patch, so its recorded Warning comes with another one",
        "GET",
        DEMO_PATH,
        dropped.body,
        headers=dropped.headers,
    )
    serve(answer, warn=warned.append).kube.get(DEMO)
    assert warned == ['unknown field "spec.bogus"']


def test_delete_returns_status_object_or_none(serve: Serve) -> None:
    kube = serve(recorded("09_delete", "no finalizer"), recorded("09_delete", "delete again: 404")).kube
    first = kube.delete(DEMO)
    assert first is not None
    assert first["status"] == "Success"
    assert kube.delete(DEMO) is None
    held = serve(recorded("09_delete", "with a finalizer")).kube.delete(DEMO)
    assert held is not None
    assert held["metadata"]["deletionTimestamp"]


def test_a_list_follows_its_pages(serve: Serve) -> None:
    served = serve(recorded("08_list_watch", "first page"), recorded("08_list_watch", "second page"), page=2)
    found = served.kube.list("ray.io/v1", "RayCluster", "team-a")
    assert [obj["metadata"]["name"] for obj in found] == ["w1", "w2", "w3"]


def test_selectors_are_encoded(serve: Serve) -> None:
    both = recorded("08_list_watch", "list ?labelSelector=team%20in%20(a,b),tier!%3Dprod")
    found = serve(both).kube.list("ray.io/v1", "RayCluster", "team-a", labels="team in (a,b),tier!=prod")
    assert [obj["metadata"]["name"] for obj in found] == [obj["metadata"]["name"] for obj in both.body["items"]]
    assert found


def test_composed_a_page_that_expired_starts_the_list_anew(serve: Serve) -> None:
    first, second = recorded("08_list_watch", "first page"), recorded("08_list_watch", "second page")
    expired = composed(
        "no list was slow enough",
        "GET",
        f"{RAY}/namespaces/team-a/rayclusters?limit=2&continue={first.body['metadata']['continue']}",
        {"kind": "Status", "reason": "Expired", "message": "The provided continue parameter is too old", "code": 410},
        status=410,
    )
    kube = serve(first, expired, second, page=2).kube
    assert len(kube.list("ray.io/v1", "RayCluster", "team-a")) == 3


def test_create_returns_the_review_that_is_not_kept(serve: Serve) -> None:
    review = recorded("07_authz", "may I create rayclusters?")
    kind = ("SelfSubjectAccessReview", "selfsubjectaccessreviews", False)
    discovery = resources("authorization.k8s.io/v1", kind)
    asked = review.request.body
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?fieldManager=rayplat"
    post = composed(
        "recorded without a field manager", "POST", path, review.body, sent=asked, content_type="application/json"
    )
    assert serve(discovery, post).kube.create(asked)["status"]["allowed"] is False


def test_server_version_and_namespaced_kinds(serve: Serve) -> None:
    kube = serve(recorded("01_discovery", "server version")).kube
    assert kube.server_version().startswith("v1.36")
    assert kube.is_namespaced("ray.io/v1", "RayService")
    assert not kube.is_namespaced("v1", "Namespace")


class TestRetries:
    """Composed: a recording shows no broken connection and no 429."""

    why = "no recording shows it"

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "_BACKOFF_S", 0.001)

    def test_read_is_repeated_after_a_dropped_connection(self, serve: Serve) -> None:
        dropped = composed(self.why, "GET", DEMO_PATH, Drop())
        served = serve(dropped, dropped, recorded("03_ssa_conflicts", "start: owned by rayplat"))
        assert served.kube.get(DEMO)["kind"] == "RayCluster"
        assert [asked.path for asked in served.server.requests].count(DEMO_PATH) == 3

    def test_retries_end_after_the_last_attempt(self, serve: Serve) -> None:
        served = serve(composed(self.why, "GET", DEMO_PATH, Drop()))
        with pytest.raises(errors.UnreachableError, match="read RayCluster team-a/demo: no answer") as caught:
            served.kube.get(DEMO)
        assert caught.value.exit_code == 4
        assert [asked.path for asked in served.server.requests].count(DEMO_PATH) == transport.ATTEMPTS

    def test_apply_is_repeated_after_a_dropped_connection(self, serve: Serve) -> None:
        created = recorded("02_ssa", "apply a new RayCluster")
        dropped = composed(
            self.why,
            "PATCH",
            f"{DEMO_PATH}?fieldManager=rayplat",
            Drop(),
            sent=created.request.body,
            content_type="application/apply-patch+yaml",
        )
        assert serve(dropped, created).kube.apply(created.request.body) == created.body

    @pytest.mark.parametrize(("guarded", "requests"), [(True, transport.ATTEMPTS), (False, 1)])
    def test_json_patch_is_repeated_only_with_a_test(self, serve: Serve, guarded: bool, requests: int) -> None:
        path = "/spec/workerGroupSpecs/0/replicas"
        operations = [{"op": "test", "path": path, "value": 1}] * guarded + [
            {"op": "replace", "path": path, "value": 2}
        ]
        target = f"{DEMO_PATH}?fieldManager=rayplat"
        dropped = composed(
            self.why, "PATCH", target, Drop(), sent=operations, content_type="application/json-patch+json"
        )
        served = serve(dropped)
        with pytest.raises(errors.UnreachableError):
            served.kube.json_patch(DEMO, operations)
        assert len([asked for asked in served.server.requests if asked.method == "PATCH"]) == requests

    def test_create_is_not_repeated_after_a_dropped_connection(self, serve: Serve) -> None:
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
        path = "/api/v1/namespaces/n/configmaps?fieldManager=rayplat"
        served = serve(composed(self.why, "POST", path, Drop(), sent=obj, content_type="application/json"))
        with pytest.raises(errors.UnreachableError):
            served.kube.create(obj)
        assert len([asked for asked in served.server.requests if asked.method == "POST"]) == 1

    def test_create_is_not_repeated_after_503(self, serve: Serve) -> None:
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
        path = "/api/v1/namespaces/n/configmaps?fieldManager=rayplat"
        away = composed(self.why, "POST", path, "busy", status=503, sent=obj, content_type="application/json")
        served = serve(away)
        with pytest.raises(errors.UnreachableError, match="cannot answer now"):
            served.kube.create(obj)
        assert [asked.method for asked in served.server.requests].count("POST") == 1

    def test_retry_after_is_waited_for(self, serve: Serve) -> None:
        busy = {"kind": "Status", "message": "too many requests", "reason": "TooManyRequests", "code": 429}
        limited = composed(self.why, "GET", DEMO_PATH, busy, status=429, headers=(("Retry-After", "1"),))
        kube = serve(limited, recorded("03_ssa_conflicts", "start: owned by rayplat")).kube
        began = time.monotonic()
        assert kube.get(DEMO)["kind"] == "RayCluster"
        assert time.monotonic() - began >= 1

    def test_retry_after_beyond_the_deadline_is_not_waited_for(self, serve: Serve) -> None:
        busy = composed(self.why, "GET", DEMO_PATH, "busy", status=503, headers=(("Retry-After", "60"),))
        began = time.monotonic()
        with pytest.raises(errors.UnreachableError, match="cannot answer now \\(503\\): busy"):
            serve(busy).kube.get(DEMO)
        assert time.monotonic() - began < 5

    def test_backoff_grows_and_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "_BACKOFF_S", 0.2)
        monkeypatch.setattr("random.uniform", lambda low, high: high)
        waits = [transport.backoff_s(failures) for failures in range(1, 9)]
        assert waits[:3] == [0.2, 0.4, 0.8]
        assert all(later >= earlier for earlier, later in itertools.pairwise(waits))
        assert waits[-1] == 5.0
