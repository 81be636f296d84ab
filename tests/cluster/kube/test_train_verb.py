"""Training jobs on the cluster that serves."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.kube.driver_resources import check_driver
from cluster.kube.errors import DeadlineError, KubeError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.render import render
from cluster.kube.verbs import train
from cluster.kube.verbs.train import follow_job, submit
from tests.cluster.kube import tiny
from tests.cluster.kube.conftest import tidegate_kube
from tests.cluster.kube.recorded import Recorded, transcript


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("manifests"))


RUNS = "registry.example:5000/tidegate@sha256:" + "1" * 64


def service(active: str | None, labels: dict[str, str] | None = None, groups: list[Object] | None = None) -> Object:
    pod = {"containers": [{"name": "ray-head", "image": RUNS}, {"name": "log", "image": "other:1"}]}
    head = {"template": {"metadata": {"labels": labels or {}}, "spec": pod}}
    training = {"groupName": "training", "maxReplicas": 2, "resources": {"job_driver": "4"}}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "tidegate", "namespace": "blue"},
        "spec": {"rayClusterConfig": {"headGroupSpec": head, "workerGroupSpecs": groups or [training]}},
        "status": {"activeServiceStatus": {"rayClusterName": active} if active else {}},
    }


def test_the_job_runs_on_the_active_cluster_under_its_name(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = Recorded(service("tidegate-7x"))
    command = "python -m jobs.train --config 'a b'"
    made = submit(kube, "blue", "nightly", command, ["image=other@sha256:" + "0" * 64], manifests=manifests)
    assert made["metadata"] == {"name": "nightly", "namespace": "blue"}
    assert made["spec"]["clusterSelector"] == {"ray.io/cluster": "tidegate-7x"}
    assert made["spec"]["entrypoint"] == command
    assert "rayClusterSpec" not in made["spec"]
    assert made["spec"]["submitterPodTemplate"]["spec"]["containers"][0]["image"].startswith("other@")
    assert "RayJob blue/nightly was made, on cluster tidegate-7x" in capsys.readouterr().out

    again = submit(kube, "blue", "nightly", command, [], manifests=manifests)
    assert again is made, "the name makes it once"
    assert submit(kube, "blue", "nightly", "", [], manifests=manifests) is made
    with pytest.raises(UsageError, match="is there with another entrypoint"):
        submit(kube, "blue", "nightly", "python -m jobs.other", [], manifests=manifests)
    assert submit(kube, "blue", "other", "", [], manifests=manifests)["spec"]["entrypoint"] == "python -m jobs.train"


def test_where_the_platform_is_in_the_mesh_the_job_is_too() -> None:
    kube = Recorded(service("tidegate-7x", {"sidecar.istio.io/inject": "true"}))
    made = submit(kube, "blue", "nightly", "", [])
    assert made["spec"]["submitterPodTemplate"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert "rayClusterSpec" not in made["spec"]
    outside = submit(Recorded(service("tidegate-7x")), "blue", "nightly", "", [])
    assert "sidecar.istio.io/inject" not in outside["spec"]["submitterPodTemplate"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("sets", "image"),
    [
        ([], RUNS),
        (["image=other:2"], "other:2"),
    ],
)
def test_the_submitter_has_the_image_of_the_head_that_runs(manifests: Path, sets: list[str], image: str) -> None:
    made = submit(Recorded(service("tidegate-7x")), "blue", "nightly", "", sets, manifests=manifests)
    assert [each["image"] for each in made["spec"]["submitterPodTemplate"]["spec"]["containers"]] == [image]


def group(name: str, most: int | None, **fields: Any) -> Object:
    return {"groupName": name, **({} if most is None else {"maxReplicas": most}), **fields}


OFFERS: dict[str, Any] = {"resources": {"job_driver": "4"}}
OFFERS_TO_RAY_START: dict[str, Any] = {"rayStartParams": {"resources": '\'"{\\"job_driver\\": 1}"\''}}


@pytest.mark.parametrize(
    ("groups", "refusal"),
    [
        ([group("serving", 8), group("training", 0, **OFFERS)], "only training has it, with maxReplicas 0"),
        ([group("a", 0, **OFFERS), group("b", 0, **OFFERS_TO_RAY_START)], "only a, b has it"),
        ([group("serving", 8)], "none of its groups has it"),
        ([group("training", 8, resources={"job_driver": "0.5"})], "none of its groups has it"),
        ([group("training", 0, **OFFERS), group("more", 1, **OFFERS_TO_RAY_START)], None),
        ([group("training", None, **OFFERS)], None),
    ],
)
def test_job_whose_driver_no_group_can_run_is_refused(groups: list[Object], refusal: str | None) -> None:
    kube = Recorded(service("tidegate-7x", groups=groups))
    if refusal is None:
        assert submit(kube, "blue", "a", "", [])["spec"]["entrypointResources"] == '{"job_driver": 1}'
        return
    with pytest.raises(UsageError, match=f"{refusal}(.|\n)*up kueue-training-job"):
        submit(kube, "blue", "a", "", [])
    assert kube.find(Key("ray.io/v1", "RayJob", "a", "blue")) is None
    check_driver({"spec": {"entrypointResources": ""}}, service("tidegate-7x", groups=groups))  # runs on the head


def test_the_overlay_kueue_takes_no_job_on_the_cluster_that_serves() -> None:
    made = next(obj for obj in render("kueue") if obj["kind"] == "RayService")
    made["metadata"]["namespace"] = "blue"
    made["status"] = {"activeServiceStatus": {"rayClusterName": "tidegate-7x"}}
    with pytest.raises(UsageError, match="only training has it, with maxReplicas 0"):
        submit(Recorded(made), "blue", "a", "", [])


@pytest.mark.parametrize("name", ["Nightly", "1st", "a.b", "n" * 48, ""])
def test_names_that_the_operator_would_refuse(manifests: Path, name: str) -> None:
    with pytest.raises(UsageError, match="47 at most"):
        submit(Recorded(service("c")), "blue", name, "python", [], manifests=manifests)


def test_the_name_is_not_set_in_two_places(manifests: Path) -> None:
    with pytest.raises(UsageError, match="name is given by --name"):
        submit(Recorded(service("c")), "blue", "a", "", ["job=b"], manifests=manifests)


def test_job_needs_an_active_cluster(manifests: Path) -> None:
    with pytest.raises(UsageError, match="no RayService tidegate in namespace blue"):
        submit(Recorded(), "blue", "a", "python", [], manifests=manifests)
    with pytest.raises(KubeError, match="has no active cluster: the KubeRay operator has not looked"):
        submit(Recorded(service(None)), "blue", "a", "python", [], manifests=manifests)


def replay(kube: Recorded, recording: str, kind: str, end: float) -> threading.Thread:
    def drive() -> None:
        for line in transcript(recording):
            if line["object"]["kind"] == kind and line["t"] < end:
                kube.change(line["type"], line["object"])

    thread = threading.Thread(target=drive)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("recording", "name", "end", "state", "last"),
    [
        ("21_rayjob_success", "job-ok", 50.0, "ready", "ready: Job finished successfully."),
        ("22_rayjob_failure_httpmode", "job-bad", 21.0, "failed", "failed: AppFailed: Job entrypoint command failed"),
    ],
)
def test_following_ends_with_the_jobs_outcome(
    recording: str, name: str, end: float, state: str, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = Recorded()
    driver = replay(kube, recording, "RayJob", end)
    found = follow_job(kube, Key("ray.io/v1", "RayJob", name, "demo"), time.monotonic() + 20)
    assert found.state == state
    driver.join()
    assert last in capsys.readouterr().out.splitlines()[-1]


def job(**status: Any) -> Object:
    metadata = {"name": "a", "namespace": "n"}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": {}, "status": status}


def test_following_ends_when_the_job_is_deleted_or_late(capsys: pytest.CaptureFixture[str]) -> None:
    key, kube = Key("ray.io/v1", "RayJob", "a", "n"), Recorded(job(jobDeploymentStatus="Running"))
    with pytest.raises(DeadlineError, match="is not done in time; it continues, and is progressing: submitted"):
        follow_job(kube, key, time.monotonic() + 0.6)

    def delete() -> None:
        end = time.monotonic() + 10
        while "submitted" not in "".join(capsys.readouterr()) and time.monotonic() < end:
            time.sleep(0.05)
        kube.change("DELETED", job())

    capsys.readouterr()
    driver = threading.Thread(target=delete)
    driver.start()
    with pytest.raises(KubeError, match="was deleted before it was done; it was last progressing: submitted"):
        follow_job(kube, key, time.monotonic() + 20)
    driver.join()


def recorded_train(kube: Recorded, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(train, "connect", lambda *_: kube)
    return tidegate_kube("train", "--json", "--name", "a", "-n", "n", *arguments)


@pytest.mark.parametrize(
    ("status", "code", "state", "why"),
    [
        ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}, 0, "ready", ""),
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "reason": "AppFailed"}, 1, "failed", "AppFailed"),
    ],
)
def test_json_is_one_document_on_stdout(
    status: dict[str, str],
    code: int,
    state: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = job(**status) | {"spec": {"entrypoint": "python", "clusterSelector": {"ray.io/cluster": "c"}}}
    assert recorded_train(Recorded(there), monkeypatch, "--follow") == code
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["job"] == {"namespace": "n", "name": "a", "cluster": "c", "entrypoint": "python"}
    assert document["state"] == state
    assert why in document["why"]
    assert "tidegate kube logs a -n n -f" in printed.err


def test_without_n_the_job_goes_where_the_manifests_put_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    context = {"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "default"}}
    (tmp_path / "config").write_text(json.dumps({"contexts": [context], "current-context": "c"}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    platform, blue = service("tidegate-7x"), service("tidegate-blue")
    platform["metadata"]["namespace"] = "tidegate"
    monkeypatch.setattr(train, "connect", lambda *_: Recorded(platform, blue))
    for where, options in (("tidegate", []), ("blue", ["--set", "namespace=blue"]), ("blue", ["-n", "blue"])):
        assert tidegate_kube("train", "--json", "--name", "a", *options) == 0
        assert json.loads(capsys.readouterr().out)["job"]["namespace"] == where


def test_timeout_without_follow_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recorded_train(Recorded(job()), monkeypatch, "--timeout", "1h") == 2
    assert "--timeout bounds what --follow waits for" in capsys.readouterr().err


def test_json_of_a_job_that_is_late(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kube = Recorded(job(jobDeploymentStatus="Running"))
    assert recorded_train(kube, monkeypatch, "--follow", "--timeout", "0.3s") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["job"]["name"] == "a"
    assert document["error"]["type"] == "DeadlineError"
