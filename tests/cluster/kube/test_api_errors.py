"""Refusals of a real API server and the errors that they become: all recorded but where a case says composed."""

from __future__ import annotations

import pytest

from cluster.kube import errors
from cluster.kube.manifest import Key
from cluster.kube.status_errors import error_of
from tests.cluster.kube.conftest import RAY, Serve
from tests.support.fake_api_server import Exchange, SentRequest, composed, moved, recorded

LIST = "/apis/ray.io/v1/namespaces/team-a/rayclusters"
DEMO = Key("ray.io/v1", "RayCluster", "demo", "team-a")


@pytest.mark.parametrize(
    ("transcript", "note", "error", "words"),
    [
        ("02_ssa", "stale resourceVersion", errors.StaleError, "the object has been modified"),
        ("02_ssa", "managedFields in the body", errors.InvalidError, "managedFields must be nil"),
        ("02_ssa", "no kind: 400", errors.InvalidError, "invalid object type"),
        ("02_ssa", "namespace absent", errors.NotFoundError, 'namespaces "nope" not found'),
        ("03_ssa_conflicts", "same manifest applied again", errors.FieldConflictError, "python-requests"),
        ("03_ssa_conflicts", "two conflicting fields", errors.FieldConflictError, ".spec.rayVersion"),
        ("04_patch", "a test that fails", errors.TestFailedError, "the server rejected our request"),
        ("04_patch", "path that is not there", errors.TestFailedError, "the server rejected our request"),
        ("04_patch", "breaks the schema", errors.InvalidError, "must be of type integer"),
        ("04_patch", "an object sent as JSON patch", errors.InvalidError, "error decoding patch"),
        ("04_patch", "application/json as patch type", errors.InvalidError, "unknown format"),
        ("06_validation", "unknown fields, fieldValidation=default [apply]", errors.InvalidError, ".spec.bogus"),
        ("06_validation", 'replicas "two" [apply]', errors.InvalidError, "expected numeric"),
        ("06_validation", "CEL: managedBy [apply]", errors.InvalidError, "must be either"),
        ("06_validation", "CEL on update: managedBy", errors.InvalidError, "immutable"),
        ("06_validation", "kind not installed: 404 text", errors.MissingKindError, "404 page not found"),
        ("07_authz", "apply: 403 (verb patch)", errors.PermissionDeniedError, "kubectl auth can-i"),
        ("07_authz", "no credentials: anonymous", errors.PermissionDeniedError, "no credentials were sent"),
        ("07_authz", "a bad token", errors.UnauthenticatedError, "log in again"),
        ("08_list_watch", "a revision in the future", errors.UnreachableError, "Too large resource version"),
        ("08_list_watch", "a bad revision", errors.ApiError, "invalid syntax"),
        ("09_delete", "wrong uid", errors.StaleError, "does not match the UID in record"),
        ("09_delete", "POST of the same name while terminating", errors.ExistsError, "wait until it is gone"),
        ("11_core_objects", "second: 403 exceeded quota", errors.PermissionDeniedError, "kubectl describe quota"),
        ("11_core_objects", "terminating namespace", errors.PermissionDeniedError, "wait until it is gone"),
        ("11_core_objects", "unknown field [apply]", errors.InvalidError, ".spec.replica"),
        ("11_core_objects", "selector is immutable", errors.InvalidError, "field is immutable"),
    ],
)
def test_each_refusal_becomes_its_error_with_the_servers_words(
    transcript: str, note: str, error: type[errors.KubeError], words: str
) -> None:
    exchange = recorded(transcript, note)
    found = _error(exchange)
    assert type(found) is error
    assert words in str(found)
    assert str(found).startswith("do it: ") or isinstance(found, errors.UnreachableError)


def test_a_conflict_names_managers_and_fields() -> None:
    found = _error(recorded("03_ssa_conflicts", "two conflicting fields"))
    assert isinstance(found, errors.FieldConflictError)
    assert [(cause.field, cause.message) for cause in found.causes] == [
        (".spec.rayVersion", 'conflict with "rayplat"'),
        (".spec.workerGroupSpecs", 'conflict with "rayplat"'),
    ]


def test_composed_a_status_without_a_name_is_a_missing_kind() -> None:
    # A server behind an aggregator says so; the recorded one answers in plain text.
    text = b'{"kind": "Status", "message": "the server could not find the requested resource", "reason": "NotFound"}'
    assert isinstance(error_of(404, text, doing="x", server="s"), errors.MissingKindError)


def test_composed_page_of_a_proxy_is_unreachable(serve: Serve) -> None:
    kube = serve(composed("a login page", "GET", "/version", "<html>log in</html>")).kube
    with pytest.raises(errors.UnreachableError, match="is a proxy or a login page in the way"):
        kube.server_version()


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (404, "<html>404 nginx</html>", "404 nginx"),
        (404, '{"message": "no Route matched"}', "no Route matched"),
        (403, "<html>Blocked</html>", "Blocked"),
        (302, "", "302"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", "HTTPS server"),
        (200, '{"ok": true}', "it lists no resources"),
    ],
)
def test_composed_other_server_is_not_a_missing_kind(serve: Serve, status: int, text: str, words: str) -> None:
    """Taken for a missing kind or a missing object, ``down`` would say of it that there is nothing to remove."""
    exchange = composed("another server", "GET", "/apis/apps/v2", text, status=status)
    kube = serve(exchange).kube
    with pytest.raises(errors.UnreachableError, match="is a proxy or a login page in the way") as caught:
        kube.find(Key("apps/v2", "Deployment", "x", "team-a"))
    assert words in str(caught.value)


def test_composed_webhook_without_an_answer_is_named() -> None:
    text = rb'{"kind": "Status", "message": "Internal error occurred: failed calling webhook \"m\"", "code": 500}'
    found = error_of(500, text, doing="x", server="s")
    assert "failed calling webhook" in str(found)
    assert "see to its controller's pods" in str(found)


def test_a_kind_that_is_not_installed_is_named(serve: Serve) -> None:
    missing = recorded("01_discovery", "unknown group")
    served = serve(moved(missing, path="/apis/kueue.x-k8s.io/v1beta2"))
    with pytest.raises(errors.MissingKindError, match=r"look for kueue.x-k8s.io/v1beta2: 404"):
        served.kube.find(Key("kueue.x-k8s.io/v1beta2", "LocalQueue", "q", "team-a"))
    with pytest.raises(errors.MissingKindError, match="no kind 'RayThing'"):
        served.kube.is_namespaced("ray.io/v1", "RayThing")


def test_forbidden_list_raises_permission_denied(serve: Serve) -> None:
    kube = serve(recorded("07_authz", "other resource: 403")).kube
    with pytest.raises(errors.PermissionDeniedError, match='cannot list resource "rayjobs"') as caught:
        kube.list("ray.io/v1", "RayJob", "team-a")
    assert caught.value.exit_code == 5


def _error(exchange: Exchange) -> errors.KubeError:
    import json

    text = exchange.body.encode() if isinstance(exchange.body, str) else json.dumps(exchange.body).encode()
    patch = exchange.request.content_type == "application/json-patch+json"
    return error_of(exchange.status, text, doing="do it", server="https://example", json_patch=patch)


def test_fake_server_refuses_requests_that_were_not_recorded(serve: Serve) -> None:
    served = serve(composed("another path", "GET", f"{RAY}/namespaces/team-a/rayclusters/other", {}))
    with pytest.raises(errors.ApiError, match="599: not recorded"):
        served.kube.get(DEMO)
    assert served.server.unexpected.pop().startswith("not recorded: SentRequest(method='GET'")
    assert served.server.requests[-1] == SentRequest("GET", f"{LIST}/demo", ())
