"""The verbs as they are called: options, a kubeconfig, Kustomize, HTTP, what is printed, the exit code.

The manifests are a small kustomization of our own; the server's answers are composed, in the recorded shapes.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kube.applying import Applied, Outcome
from cluster.kube.errors import DeadlineError, InvalidError
from cluster.kube.manifest import Key, Object
from cluster.kube.readback import Carried, Prepared
from cluster.kube.readiness import Readiness
from cluster.kube.verbs import apply
from tests.cluster.kube.conftest import RAY, Serve, discovery, tidegate_kube
from tests.support.fake_api_server import Exchange, Hold, composed, moved, recorded, transcript

WHY = "a set of our own"
SETTINGS: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": "demo"},
    "data": {"A": "1"},
}
PATH = "/api/v1/namespaces/demo/configmaps/settings"
APPLY = "application/apply-patch+yaml"

Call = Callable[..., int]


@pytest.fixture
def call(serve: Serve, tmp_path: Path) -> Call:
    """Call a verb with the manifests ``SETTINGS`` before a server that gives these exchanges."""
    (tmp_path / "kustomization.yaml").write_text("resources: [settings.yaml]\n")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))

    def run(*argv: str, exchanges: list[Exchange]) -> int:
        served = serve(*exchanges)
        config = {
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": served.server.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": "demo"}}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        words = [f"{tmp_path}/" if word == "OVERLAY" else word for word in argv]
        return tidegate_kube(*words, "--kubeconfig", str(tmp_path / "config"))

    return run


def _live(revision: str, value: str) -> Object:
    live = copy.deepcopy(SETTINGS)
    live["metadata"] |= {"resourceVersion": revision, "uid": "u", "managedFields": []}
    live["data"]["A"] = value
    return live


def _get(live: Object | None) -> Exchange:
    if live is None:
        return moved(recorded("09_delete", "delete again: 404"), method="GET", path=PATH)
    return composed(WHY, "GET", PATH, live)


def _apply(answer: Any, *, dry_run: bool = False, status: int = 200) -> Exchange:
    target = f"{PATH}?fieldManager=tidegate{'&dryRun=All' if dry_run else ''}"
    return composed(WHY, "PATCH", target, answer, status=status, sent=SETTINGS, content_type=APPLY)


def _checked_and_applied(before: Object | None, answer: Any, *, status: int = 200) -> list[Exchange]:
    """The dry run and the apply of ``up``, both answered alike."""
    return [_get(before), _apply(answer, dry_run=True, status=status), _apply(answer, status=status)]


def test_up_prints_each_outcome(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    created = _live("5", "1")
    assert call("up", "OVERLAY", "--no-wait", exchanges=_checked_and_applied(None, created, status=201)) == 0
    assert capsys.readouterr().out == "ConfigMap demo/settings: created\n"
    assert call("apply", "OVERLAY", "--json", exchanges=_checked_and_applied(created, created)) == 0
    found = json.loads(capsys.readouterr().out)["objects"]
    assert [(each["name"], each["outcome"]) for each in found] == [("settings", "unchanged")]


def test_a_dry_run_sends_nothing_that_is_kept(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    exchanges = [_get(_live("5", "0")), _apply(_live("6", "1"), dry_run=True)]
    assert call("up", "OVERLAY", "--dry-run", exchanges=exchanges) == 0
    assert capsys.readouterr().out == "ConfigMap demo/settings: configured (dry run)\n"


def test_a_conflict_names_owner_and_field_and_exits_with_7(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    status = copy.deepcopy(recorded("03_ssa_conflicts", "same manifest applied again").body)
    status["details"]["causes"][0] = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-edit" using v1',
        "field": ".data.A",
    }
    assert call("up", "OVERLAY", exchanges=_checked_and_applied(_live("5", "0"), status, status=409)) == 7
    assert capsys.readouterr().out.splitlines() == [
        "ConfigMap demo/settings: conflict",
        "  'kubectl-edit' owns .data.A",
        "  --force-conflicts would overwrite:",
        "    data.A: '0' -> '1'",
    ]


def test_json_of_an_error_has_the_objects_applied_before_it(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    quota = recorded("11_core_objects", "second: 403 exceeded quota").body
    allowed = _live("5", "1")  # the quota is used up by somebody else between the dry run and the apply
    exchanges = [_get(None), _apply(allowed, dry_run=True, status=201), _apply(quota, status=403)]
    assert call("up", "OVERLAY", "--json", exchanges=exchanges) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["objects"] == []
    assert (found["error"]["type"], found["error"]["exitCode"]) == ("PermissionDeniedError", 5)
    assert "exceeded quota" in found["error"]["message"]
    for verb in (["diff", "OVERLAY"], ["down", "OVERLAY", "--yes"]):
        refused = [composed(WHY, "GET", PATH, quota, status=403)]
        assert call(*verb, "--json", exchanges=refused) == 5
        assert json.loads(capsys.readouterr().out)["error"]["type"] == "PermissionDeniedError"


def test_json_of_a_timeout_has_the_applied_objects(
    call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def wait(kube: Any, keys: Any, deadline: float, report: Any) -> None:
        given.append(deadline - time.monotonic())
        raise DeadlineError("not ready in time")

    monkeypatch.setattr(apply, "AWAITED", {"ConfigMap"})
    monkeypatch.setattr(apply, "wait_until_ready", wait)
    slow = Hold(threading.Event())
    threading.Timer(0.5, slow.until.set).start()
    answer = composed(WHY, "GET", PATH, (slow, _live("5", "1")))
    answers = _checked_and_applied(None, _live("5", "1"))[1:]
    assert call("up", "OVERLAY", "--json", "--timeout", "20s", exchanges=[answer, *answers]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [each["outcome"] for each in found["objects"]] == ["unchanged"]
    assert found["error"] == {"type": "DeadlineError", "message": "not ready in time", "exitCode": 3}
    assert given[0] == pytest.approx(20, abs=0.2)  # the time is the wait's: applying took half a second of its own


def test_ctrl_c_in_a_wait_exits_with_130(
    call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(apply, "AWAITED", {"ConfigMap"})
    monkeypatch.setattr(apply, "wait_until_ready", interrupted)
    exchanges = _checked_and_applied(_live("5", "1"), _live("5", "1"))
    assert call("up", "OVERLAY", "--json", exchanges=exchanges) == 130
    said = capsys.readouterr()
    assert said.err.endswith("interrupted\n")
    assert json.loads(said.out)["error"]["exitCode"] == 130


def test_nothing_is_sent_while_the_dry_run_refuses_one_object(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every refusal is named. The real apply of either object is not expected: it would fail the test."""
    other = copy.deepcopy(SETTINGS)
    other["metadata"]["name"] = "other"
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump_all([SETTINGS, other]))
    quota = recorded("11_core_objects", "second: 403 exceeded quota").body
    path = PATH.replace("settings", "other")
    target = f"{path}?fieldManager=tidegate&dryRun=All"
    exchanges = [
        _get(None),
        _apply(quota, dry_run=True, status=403),
        moved(_get(None), path=path),
        composed(WHY, "PATCH", target, quota, status=403, sent=other, content_type=APPLY),
    ]
    assert call("up", "OVERLAY", exchanges=exchanges) == 5
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nothing was sent: the API server refuses 2 of 2 objects in a dry run" in printed.err
    assert "apply ConfigMap demo/settings: 403" in printed.err
    assert "apply ConfigMap demo/other: 403" in printed.err


def test_a_webhook_that_has_no_dry_run_does_not_stop_up(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    message = 'admission webhook "policy.example" does not support dry run'  # as of NewDryRunUnsupportedErr
    refusal = {"kind": "Status", "status": "Failure", "message": message, "reason": "BadRequest", "code": 400}
    applied = _live("5", "1")
    exchanges = [_get(None), _apply(refusal, dry_run=True, status=400), _apply(applied, status=201)]
    assert call("up", "OVERLAY", "--no-wait", exchanges=exchanges) == 0
    assert capsys.readouterr().out == "ConfigMap demo/settings: created\n"


@pytest.mark.parametrize("verb", ["up", "diff"])
def test_all_kinds_that_are_not_installed_are_named_and_nothing_is_sent(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    queues = [
        {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": "q", "namespace": "demo"}}
        for kind in ("LocalQueue", "ClusterQueue")
    ]
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump_all([SETTINGS, *queues]))
    missing = moved(recorded("01_discovery", "unknown group"), path="/apis/kueue.x-k8s.io/v1beta2")
    assert call(verb, "OVERLAY", exchanges=[missing]) == 6
    said = capsys.readouterr().err
    assert "ClusterQueue (kueue.x-k8s.io/v1beta2), LocalQueue (kueue.x-k8s.io/v1beta2); nothing was sent" in said


def test_a_closed_pipe_ends_without_a_traceback(tmp_path: Path) -> None:
    """``tidegate kube render OVERLAY | head -0``: what is written after the reader has gone."""
    (tmp_path / "kustomization.yaml").write_text("resources: [settings.yaml]\n")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "jobs.cli", "kube", "render", f"{tmp_path}/"]
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_diff_has_the_exit_codes_of_kubectl(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    same = [_get(_live("5", "1")), _apply(_live("5", "1"), dry_run=True)]
    assert call("diff", "OVERLAY", exchanges=same) == 0
    assert capsys.readouterr().out == ""
    other = [_get(_live("5", "0")), _apply(_live("6", "1"), dry_run=True)]
    assert call("diff", "OVERLAY", exchanges=other) == 1
    assert capsys.readouterr().out.splitlines()[:6] == [
        "--- live/demo/ConfigMap/settings",
        "+++ desired/demo/ConfigMap/settings",
        "@@ -1,6 +1,6 @@",
        " apiVersion: v1",
        " data:",
        "-  A: '0'",
    ]
    assert call("diff", "OVERLAY", "--json", exchanges=[_get(None), _apply(_live("6", "1"), dry_run=True)]) == 1
    change = json.loads(capsys.readouterr().out)["changes"][0]
    assert "+  A: '1'" in change["diff"]


def test_down_asks_first_and_is_idempotent(
    call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = _live("5", "1")
    assert call("down", "OVERLAY", exchanges=[_get(live)]) == 2
    assert "nothing was removed: without a terminal --yes is needed" in capsys.readouterr().err
    assert call("down", "OVERLAY", "--dry-run", exchanges=[_get(live)]) == 0
    assert "  ConfigMap demo/settings" in capsys.readouterr().out.splitlines()
    deleted = composed(WHY, "DELETE", PATH, recorded("09_delete", "no finalizer").body)
    assert call("down", "OVERLAY", "--yes", exchanges=[_get(live), deleted]) == 0
    assert "ConfigMap demo/settings: deleted" in capsys.readouterr().out
    assert call("down", "OVERLAY", exchanges=[_get(None)]) == 0
    assert "there is nothing to remove" in capsys.readouterr().out


def test_scale_of_the_cluster_that_serves(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    service = {"status": {"activeServiceStatus": {"rayClusterName": "rc"}}}
    sent = recorded("20_raycluster_lifecycle", "scale 1 -> 2 by JSON patch with test")
    live = recorded("20_raycluster_lifecycle", "apply RayCluster")
    exchanges = [
        composed(WHY, "GET", f"{RAY}/namespaces/demo/rayservices/tidegate", service),
        composed(WHY, "GET", f"{RAY}/namespaces/demo/rayclusters/rc", live.body),
        moved(sent, query=(("fieldManager", "tidegate"),)),
    ]
    assert call("scale", "w", "2", exchanges=exchanges) == 0
    assert capsys.readouterr().out == "RayCluster demo/rc: group w: 1 -> 2 replicas\n"
    assert call("scale", "w", "9", "--cluster", "rc", exchanges=exchanges) == 2
    assert "maxReplicas is 3" in capsys.readouterr().err


def test_a_rejection_by_the_operator_ends_up_at_once_with_its_sentence(serve: Serve) -> None:
    found = transcript("10_operator_warnings")[0]
    obj, event = found["request"]["body"], found["after"]["events"][0]
    path = f"{RAY}/namespaces/team-b/rayclusters/c0"
    events = "/api/v1/namespaces/team-b/events?fieldSelector=type%3DWarning"
    created = obj | {"metadata": obj["metadata"] | {"uid": "u", "resourceVersion": "1"}}
    said = {
        "metadata": {"name": "e", "uid": "e", "resourceVersion": "2"},
        "reason": event["reason"],
        "message": event["note"],
        "involvedObject": {"uid": "u"},
    }
    kube = serve(
        moved(recorded("09_delete", "delete again: 404"), method="GET", path=path),
        composed(WHY, "PATCH", f"{path}?fieldManager=rayplat", created, status=201, sent=obj, content_type=APPLY),
        composed(WHY, "GET", events, {"items": [], "metadata": {"resourceVersion": "1"}}),
        composed(WHY, "GET", f"{events}&watch=true&resourceVersion=1", ({"type": "ADDED", "object": said},)),
    ).kube
    lines: list[str] = []
    with pytest.raises(InvalidError, match="minReplicas 5 greater than maxReplicas 1"):
        list(apply.apply_each(kube, [obj], force=False, dry_run=False, say=lines.append))
    assert lines == ["RayCluster team-b/c0: created"]


def test_replicas_kept_against_the_manifest_are_printed() -> None:
    carried = (Carried("a", 1, 5, 4), Carried("b", 2, 2, 2))
    key = Key("ray.io/v1", "RayCluster", "c", "n")
    applied = Applied(key, Outcome.CONFIGURED, {}, {}, Prepared({}, carried))
    assert apply.lines(applied) == [
        "RayCluster n/c: configured",
        "  group a: 4 replicas, as the autoscaler has it, but within the manifest's bounds (it has 5)",
    ]
    assert apply.as_json(applied)["replicas"] == {"a": 4, "b": 2}


def test_progress_is_printed_only_when_it_changes() -> None:
    key = Key("apps/v1", "Deployment", "d", "n")
    lines: list[str] = []
    progress = apply.Progress(lines.append)
    for found in (Readiness("progressing", "0 of 1"), Readiness("progressing", "0 of 1"), Readiness("ready")):
        progress.report({key: found})
    assert lines == ["Deployment n/d: progressing: 0 of 1", "Deployment n/d: ready"]


@pytest.mark.parametrize("verb", ["up", "diff", "down"])
def test_help_has_exit_codes_and_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_kube(verb, "--help") == 0
    text = capsys.readouterr().out
    assert "Exit code: 0 " in text
    assert f"tidegate kube {verb} " in text


def test_discovery_is_one_request_a_group(serve: Serve) -> None:
    served = serve()
    assert discovery()
    for kind in ("RayCluster", "RayService", "RayJob"):
        assert served.kube.is_namespaced("ray.io/v1", kind)
    assert len(served.server.requests) == 1
