"""Logs: the containers that a part means, the command lines of kubectl, and what is followed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kube import logs
from cluster.kube.errors import UnreachableError, UsageError
from cluster.kube.logs import container_of, print_logs
from cluster.kube.manifest import Object
from tests.cluster.kube.conftest import tidegate_kube
from tests.cluster.kube.recorded import Recorded
from tests.support.fake_api_server import FakeApiServer, composed

Labels = dict[str, str]


def pod(
    name: str,
    *containers: str,
    run: str = "1",
    running: bool = True,
    labels: Labels | None = None,
) -> Object:
    names = containers or ("main",)
    state: dict[str, Any] = {"running": {}} if running else {"terminated": {}}
    statuses = [{"name": each, "containerID": f"{name}-{each}-{run}", "state": state} for each in names]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": labels or {}},
        "spec": {"containers": [{"name": each} for each in names]},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def ray(name: str, group: str, *containers: str, **more: Any) -> Object:
    found = pod(f"tidegate-abc-{name}", *(containers or ("ray",)), **more)
    kind = "head" if group == "headgroup" else "worker"
    found["metadata"]["labels"] = {"ray.io/cluster": "tidegate-abc", "ray.io/group": group, "ray.io/node-type": kind}
    return found


HEAD = ray("head-x", "headgroup", "ray-head", "autoscaler")
WORKER = ray("serving-worker-y", "serving")
MLFLOW = pod(
    "tidegate-mlflow-z", labels={"app.kubernetes.io/component": "mlflow", "app.kubernetes.io/part-of": "tidegate"}
)
SUBMITTER = pod("train-1-q", labels={"job-name": "train-1"})
STRANGER = pod("stranger")
PODS = [HEAD, WORKER, MLFLOW, SUBMITTER, STRANGER]


class Kubectl:
    """A program in the place of kubectl: of a pod that it is called for, it runs the next command of its script."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.output = folder / "output"
        self.output.touch()
        self.path = folder / "kubectl"
        self.path.write_text(
            f"""#!/bin/sh
cd {folder}
echo "$*" >> calls
for each; do
  next=$(ls "scripts/$each" 2>/dev/null | head -1)
  if [ -n "$next" ]; then mv "scripts/$each/$next" "$each.$next"; exec sh "$each.$next"; fi
done
"""
        )
        self.path.chmod(0o755)

    def script(self, pod: Object, *commands: str) -> None:
        """Shell commands, one a call."""
        folder = self._folder / "scripts" / pod["metadata"]["name"]
        folder.mkdir(parents=True)
        for number, command in enumerate(commands):
            (folder / str(number)).write_text(command)

    def calls(self) -> list[list[str]]:
        return [line.split() for line in (self._folder / "calls").read_text().splitlines()]

    def follow(self, present: Sequence[Object], *steps: tuple[Object, str], extent: Sequence[str] = ()) -> str:
        """Follows while each step's pod is told until its text is printed, by a watch of its own; then Ctrl-C."""
        output, left = self.output, list(steps)

        class Told(Recorded):
            def watch(self, *_: Any, **__: Any) -> Iterator[tuple[str, Object]]:
                if not left:
                    raise KeyboardInterrupt
                (pod, text), end = left.pop(0), time.monotonic() + 10
                yield "MODIFIED", pod
                while text not in output.read_text():
                    assert time.monotonic() < end, output.read_text()
                    time.sleep(0.01)
                    yield "MODIFIED", pod

        with output.open("w") as stream:
            assert print_logs(Told(*present), "n", None, (), extent, follow_s=30, stream=stream) == 0
        return output.read_text()


STAY = "exec sleep 60"


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    found = Kubectl(tmp_path)
    monkeypatch.setattr(logs, "kubectl", lambda: str(found.path))
    return found


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, {"head-x/ray-head", "serving-worker-y/ray", "mlflow-z/main"}),
        ("head", {"head-x/ray-head"}),
        ("autoscaler", {"head-x/autoscaler"}),
        ("serving", {"serving-worker-y/ray"}),
        ("mlflow", {"mlflow-z/main"}),
        ("train-1", {"train-1-q/main"}),
        ("stranger", {"stranger/main"}),
    ],
)
def test_part_means_these_containers(part: str | None, expected: set[str]) -> None:
    names = {(each["metadata"]["name"], container_of(part, each)) for each in PODS}
    chosen = {f"{pod.removeprefix('tidegate-').removeprefix('abc-')}/{name}" for pod, name in names if name}
    assert chosen == expected


def test_unknown_part_is_refused_with_the_parts_there_are() -> None:
    with pytest.raises(
        UsageError,
        match=r"(?s)no pod belongs to servin; did you mean serving\?.*redis, operator, serving\n.*pods: str",
    ):
        print_logs(Recorded(*PODS), "n", "servin")


WHY = "no recording reads a log"


def test_kubectl_reads_the_same_server_with_the_options_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl keeps what it knows of a server
    kinds = [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]}]
    kinds.append({"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["get"]})
    resources = {"kind": "APIResourceList", "groupVersion": "v1", "resources": kinds}
    refused = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 400, "message": "waiting to start"}
    pods, (one, other) = "/api/v1/namespaces/n/pods", (each["metadata"]["name"] for each in (HEAD, MLFLOW))
    logs_of = f"{pods}/{other}/log?container=main"
    server = FakeApiServer(
        [
            composed(WHY, "GET", "/api?timeout=32s", {"kind": "APIVersions", "versions": ["v1"]}),
            composed(WHY, "GET", "/apis?timeout=32s", {"kind": "APIGroupList", "groups": []}),
            composed(WHY, "GET", "/api/v1?timeout=32s", resources),
            composed(WHY, "GET", "/api/v1", resources),
            composed(WHY, "GET", "/api/v1/namespaces/n/configmaps/tidegate-settings", {}),
            composed(WHY, "GET", pods, {"items": [HEAD, MLFLOW], "metadata": {}}),
            composed(WHY, "GET", f"{pods}/{one}", HEAD),
            composed(WHY, "GET", f"{pods}/{other}", MLFLOW),
            composed(
                WHY,
                "GET",
                f"{pods}/{one}/log?container=ray-head&sinceSeconds=60&tailLines=5",
                refused,
                status=400,
            ),
            composed(WHY, "GET", f"{logs_of}&sinceSeconds=60&tailLines=5", "one\ntwo\n"),
            composed(WHY, "GET", f"{logs_of}&previous=true", "out of memory\n"),
        ]
    )
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    where = ["--kubeconfig", str(tmp_path / "config"), "--context", "c", "-n", "n"]
    try:
        assert tidegate_kube("logs", *where, "--tail", "5", "--since", "1m") == 1, "a log that cannot be read gives 1"
        found = capfd.readouterr()
        assert found.out == f"[pod/{other}/main] one\n[pod/{other}/main] two\n", "and does not hide the others"
        assert "waiting to start" in found.err
        assert "/tmp/ray/session_latest/logs" in found.err
        assert tidegate_kube("logs", "mlflow", *where, "--previous") == 0
        assert capfd.readouterr().out == "out of memory\n"
        assert server.unexpected == []
    finally:
        server.close()
    assert tidegate_kube("logs", "redis", "--previous", "--follow") == 2


def test_place_of_rays_logs_is_told_only_where_they_are_not_here(
    kubectl: Kubectl, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tidegate-settings", "namespace": "n"},
        "data": {"RAY_LOG_TO_STDERR": "1"},
    }
    kubectl.script(HEAD, "echo one")
    assert print_logs(Recorded(HEAD, settings), "n", "head") == 0
    assert capfd.readouterr() == ("one\n", "")


def test_restarts_new_pods_and_lost_connections_are_followed(kubectl: Kubectl) -> None:
    kubectl.script(WORKER, "echo one", f"echo after the connection was lost; {STAY}", "echo of the new run")
    restarted = ray("serving-worker-y", "serving", run="2", running=False)
    new = ray("serving-worker-w", "serving", running=False)
    kubectl.script(new, "echo of the new pod")
    found = kubectl.follow(
        [WORKER],
        (WORKER, "one\n"),
        (WORKER, "after the connection was lost\n"),
        (new, "of the new pod\n"),
        (restarted, "of the new run\n"),
        extent=["--tail=3"],
    )
    assert found == "one\nafter the connection was lost\nof the new pod\nof the new run\n"
    calls = kubectl.calls()
    assert [call[call.index("--namespace") + 2][len("tidegate-abc-serving-worker-") :] for call in calls] == list(
        "yywy"
    )
    assert [call[-1].partition("=")[0] for call in calls] == ["--tail", "--since", "--prefix", "--prefix"]


def test_container_that_has_ended_is_read_once(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RELIST_S", 0.02)
    ended = ray("serving-worker-y", "serving", running=False)
    assert print_logs(Recorded(ended), "n", None, follow_s=0.5) == 0
    assert len(kubectl.calls()) == 1


def test_container_that_cannot_be_read_is_given_up(kubectl: Kubectl, capfd: pytest.CaptureFixture[str]) -> None:
    tries = [f"try {number}" for number in range(1 + logs.MAX_FAILURES)]
    kubectl.script(WORKER, *[f"echo {text}; exit 1" for text in tries], "echo one too many")
    kubectl.script(HEAD, f"sleep 0.5; echo head; {STAY}")  # meanwhile the last try ends
    found = kubectl.follow(
        [], *[(WORKER, f"{text}\n") for text in tries], (HEAD, "head\n"), (WORKER, ""), (WORKER, "")
    )
    assert found.split("\n")[:-1] == [*tries, "head"]
    assert "serving-worker-y is not read any more: 6 tries have failed" in capfd.readouterr().err


def test_containers_beyond_the_most_that_are_followed_are_named(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "MAX_STREAMS", 1)
    kubectl.script(HEAD, f"echo one; {STAY}")
    kubectl.follow([HEAD], (HEAD, "one\n"), (WORKER, "one\n"))
    assert "Pod n/tidegate-abc-serving-worker-y is not read: 1 are followed already" in capfd.readouterr().err
    assert len(kubectl.calls()) == 1


def test_closed_pipe_ends_reading(kubectl: Kubectl) -> None:
    kubectl.script(MLFLOW, f"kill -{signal.SIGPIPE} $$")
    with pytest.raises(BrokenPipeError):
        print_logs(Recorded(MLFLOW), "n", "mlflow")


def test_pods_that_cannot_be_watched_end_following(kubectl: Kubectl) -> None:
    class Lost(Recorded):
        def watch(self, *_: Any, **__: Any) -> Iterator[tuple[str, Object]]:
            raise UnreachableError("no server")

    with pytest.raises(UnreachableError, match="no server"):
        print_logs(Lost(), "n", None, follow_s=10)
