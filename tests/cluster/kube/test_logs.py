"""Logs of several containers as one stream."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import pytest

from cluster.__main__ import main
from cluster.kube.errors import ApiError, UnreachableError, UsageError
from cluster.kube.log_follower import Extent, Line, LogFollower
from cluster.kube.log_parts import Part, check_part, short_name
from cluster.kube.manifest import Object
from cluster.kube.verbs.logs import print_logs
from tests.cluster.kube.recorded import Recorded

Labels = dict[str, str]
EARLY, LATE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def pod(
    name: str,
    *containers: str,
    run: str = "1",
    started: str = EARLY,
    running: bool = True,
    labels: Labels | None = None,
) -> Object:
    names = containers or ("main",)
    state: dict[str, Any] = {"running": {"startedAt": started}} if running else {"terminated": {"startedAt": started}}
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
def test_parts(part: str | None, expected: set[str]) -> None:
    chosen = {f"{short_name(each)}/{name}" for each in PODS if (name := Part(part).container(each))}
    assert chosen == expected
    check_part(Part(part), PODS)


def test_a_part_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"(?s)no pod is servin; did you mean serving\?.*redis, operator, serving\n.*pods: str"
    ):
        check_part(Part("servin"), PODS)


def test_without_following_pods_come_one_after_another_and_one_that_has_no_log_does_not_hide_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kube = Recorded(HEAD, WORKER)
    kube.scripts = {
        "tidegate-abc-head-x/ray-head": [ApiError("the container is waiting to start", status=400)],
        "tidegate-abc-serving-worker-y/ray": [["one", "two"]],
    }
    out = io.StringIO()
    assert print_logs(kube, "n", Part(None), Extent(5, 60), follow=False, stream=out) == 1
    assert out.getvalue() == "serving-worker-y one\nserving-worker-y two\n"
    told = capsys.readouterr().err
    assert "tidegate-abc-head-x: the container is waiting to start" in told
    assert "/tmp/ray/session_latest/logs" in told
    assert [(each["tail"], each["since_s"], each["follow"]) for each in kube.asked] == [(5, 60, False)] * 2


def test_the_container_before_the_last_restart() -> None:
    assert main(["logs", "redis", "--previous", "--follow"]) == 2
    kube, out = Recorded(MLFLOW), io.StringIO()
    kube.scripts = {"tidegate-mlflow-z/main": [["out of memory"]]}
    assert print_logs(kube, "n", Part("mlflow"), Extent(), previous=True, stream=out) == 0
    assert out.getvalue() == "out of memory\n"
    assert kube.asked[0]["previous"] is True


def test_the_place_of_rays_logs_is_told_only_where_they_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tidegate-settings", "namespace": "n"},
        "data": {"RAY_LOG_TO_STDERR": "1"},
    }
    kube = Recorded(HEAD, settings)
    kube.scripts = {"tidegate-abc-head-x/ray-head": [["one"]]}
    out = io.StringIO()
    assert print_logs(kube, "n", Part("head"), Extent(), follow=False, stream=out) == 0
    assert (out.getvalue(), capsys.readouterr().err) == ("one\n", "")


def collect(follower: LogFollower, until: threading.Event, count: int) -> list[Line]:
    """So many lines; ``until`` is set when the last of them is there."""
    found = []
    with follower:
        for line in follower.lines():
            found.append(line)
            if len(found) == count:
                until.set()
                return found
    return found


def follower(kube: Recorded, **more: Any) -> LogFollower:
    return LogFollower(kube, "n", "", Part(None), Extent(tail=3), time.monotonic() + 15, **more)


def test_restarts_and_new_pods_are_followed_from_their_beginning() -> None:
    kube = Recorded(WORKER)
    first, second = "tidegate-abc-serving-worker-y/ray", "tidegate-abc-serving-worker-w/ray"
    kube.scripts = {first: [["one"], ["two"]], second: [["three"]]}
    found: list[Line] = []
    with follower(kube) as following:
        lines = following.lines()
        found.append(next(lines))
        kube.change("MODIFIED", ray("serving-worker-y", "serving", running=False))
        kube.change("MODIFIED", ray("serving-worker-y", "serving", run="2", started=LATE, running=False))
        found += [next(lines), next(lines)]
        kube.change("ADDED", ray("serving-worker-w", "serving", started=LATE, running=False))
        found.append(next(lines))
    assert [(line.source, line.text) for line in found] == [
        ("serving-worker-y", "one"),
        ("serving-worker-y", "ray was started anew"),
        ("serving-worker-y", "two"),
        ("serving-worker-w", "three"),
    ]
    assert [each["tail"] for each in kube.asked] == [3, None, None]


def test_a_connection_that_breaks_is_made_anew_from_where_it_was() -> None:
    kube = Recorded(WORKER)
    name = "tidegate-abc-serving-worker-y/ray"
    kube.scripts = {name: [["one"], UnreachableError("it broke"), ["two"], UnreachableError("it broke"), ["three"]]}
    with follower(kube) as following:
        lines = following.lines()
        texts = [next(lines).text for _ in range(5)]
    assert [text for text in texts if "connected anew" not in text] == ["one", "two", "three"]
    assert [each["tail"] for each in kube.asked[:3]] == [3, None, None]
    assert all(each["since_s"] >= 1 for each in kube.asked[1:])


def test_lines_are_dropped_and_counted_when_nobody_prints_them() -> None:
    kube = Recorded(ray("serving-worker-y", "serving"))
    kube.scripts = {"tidegate-abc-serving-worker-y/ray": [[str(number) for number in range(50)]]}
    with follower(kube, waiting_lines=10, patience_s=0.01) as following:
        end = time.monotonic() + 10
        while following.dropped < 40 and time.monotonic() < end:
            time.sleep(0.01)
        lines = following.lines()
        kept = [next(lines).text for _ in range(10)]
        note = next(lines)
    assert kept == [str(number) for number in range(10)]
    assert note.note
    assert note.text.startswith("40 lines dropped")


def test_following_ends_at_the_deadline_and_errors_reach_the_caller() -> None:
    kube = Recorded(WORKER)
    kube.scripts = {"tidegate-abc-serving-worker-y/ray": [["one"]]}
    out = io.StringIO()
    begin = time.monotonic()
    assert print_logs(kube, "n", Part("serving"), Extent(), follow=True, stream=out, deadline=begin + 0.5) == 0
    assert out.getvalue().startswith("serving-worker-y one\n")
    assert time.monotonic() - begin < 5
    kube.refused["Pod"] = UnreachableError("no server")
    with pytest.raises(UnreachableError, match="no server"), follower(kube) as following:
        next(following.lines())
