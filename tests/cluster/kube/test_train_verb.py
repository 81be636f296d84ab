"""Training jobs on the cluster that serves."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.kube.errors import DeadlineError, KubeError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.verbs.train import follow, submit
from tests.cluster.kube import tiny
from tests.cluster.kube.recorded import Recorded, transcript
from tests.cluster.specs import needs_specs


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("manifests"))


def service(active: str | None, labels: dict[str, str] | None = None) -> Object:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "tidegate", "namespace": "blue"},
        "spec": {"rayClusterConfig": {"headGroupSpec": {"template": {"metadata": {"labels": labels or {}}}}}},
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


@pytest.mark.parametrize("name", ["Nightly", "1st", "a.b", "n" * 48, ""])
def test_names_that_the_operator_would_refuse(manifests: Path, name: str) -> None:
    with pytest.raises(UsageError, match="47 at most"):
        submit(Recorded(service("c")), "blue", name, "python", [], manifests=manifests)


def test_without_a_cluster_that_answers_there_is_no_job(manifests: Path) -> None:
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


@needs_specs
@pytest.mark.parametrize(
    ("recording", "name", "end", "code", "last"),
    [
        ("21_rayjob_success", "job-ok", 50.0, 0, "ready: Job finished successfully."),
        ("22_rayjob_failure_httpmode", "job-bad", 21.0, 1, "failed: AppFailed: Job entrypoint command failed"),
    ],
)
def test_following_ends_with_the_jobs_outcome(
    recording: str, name: str, end: float, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = Recorded()
    driver = replay(kube, recording, "RayJob", end)
    assert follow(kube, Key("ray.io/v1", "RayJob", name, "demo"), time.monotonic() + 20) == code
    driver.join()
    assert last in capsys.readouterr().out.splitlines()[-1]


def job(**status: Any) -> Object:
    metadata = {"name": "a", "namespace": "n"}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": {}, "status": status}


def test_a_job_that_is_deleted_or_never_ends(capsys: pytest.CaptureFixture[str]) -> None:
    key, kube = Key("ray.io/v1", "RayJob", "a", "n"), Recorded(job(jobDeploymentStatus="Running"))
    with pytest.raises(DeadlineError, match="is not done in time; it goes on, and is progressing: submitted"):
        follow(kube, key, time.monotonic() + 0.6)

    def delete() -> None:
        end = time.monotonic() + 10
        while "submitted" not in "".join(capsys.readouterr()) and time.monotonic() < end:
            time.sleep(0.05)
        kube.change("DELETED", job())

    capsys.readouterr()
    driver = threading.Thread(target=delete)
    driver.start()
    with pytest.raises(KubeError, match="was deleted before it was done; it was last progressing: submitted"):
        follow(kube, key, time.monotonic() + 20)
    driver.join()
