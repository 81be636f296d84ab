"""Watches: recorded lines over real HTTP; connections that break are composed, since a recording cannot break."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.kube import errors, transport
from tests.cluster.kube.conftest import RAY, Serve
from tests.support.fake_api_server import Drop, Exchange, Hold, Part, composed, recorded

PATH = f"{RAY}/namespaces/team-a/rayclusters"
WHY = "a list and a watch of one story, and connections that break"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_BACKOFF_S", 0.001)


def test_watch_gives_present_objects_then_changes(serve: Serve) -> None:
    lines = recorded("08_list_watch", "from a revision")
    kube = serve(_list("831", _obj("w1", "828")), _follow("831", *_parts(lines)), _follow("835")).kube
    events = kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10)
    kinds = [(kind, obj["metadata"]["name"]) for kind, obj in _take(events, 4)]
    assert kinds == [
        ("ADDED", "w1"),
        *((str(line["type"]), line["object"]["metadata"]["name"]) for line in _dicts(lines)),
    ]


def test_watch_resumes_from_the_last_revision_after_a_drop(serve: Serve) -> None:
    served = serve(
        _list("10"),
        _follow("10", _line("ADDED", "a", "11"), Drop()),
        _follow("11", _line("MODIFIED", "a", "12"), Drop(mid_chunk=True)),
        _follow("12", _line("DELETED", "a", "13")),
    )
    events = served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10)
    assert [kind for kind, _ in _take(events, 3)] == ["ADDED", "MODIFIED", "DELETED"]


def test_bookmark_moves_the_revision_and_gives_no_event(serve: Serve) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}}
    served = serve(_list("10"), _follow("10", bookmark), _follow("20", _line("ADDED", "a", "21")))
    events = served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10)
    assert next(events)[1]["metadata"]["resourceVersion"] == "21"


def test_expired_revision_is_listed_again_and_missing_objects_are_deleted(serve: Serve) -> None:
    gone = recorded("08_list_watch", "a very old revision")  # 200, then an ERROR line with a 410 Status
    served = serve(
        _list("1", _obj("a", "1"), _obj("b", "1"), _obj("c", "1")),
        _follow("1", *_parts(gone)),
        _list("50", _obj("b", "40"), _obj("c", "1"), _obj("d", "41")),
        _follow("50", _line("MODIFIED", "d", "51")),
        in_order=False,
    )
    events = served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10)
    received = [(kind, obj["metadata"]["name"]) for kind, obj in _take(events, 7)]
    assert received[:3] == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
    assert received[3:] == [("DELETED", "a"), ("MODIFIED", "b"), ("ADDED", "d"), ("MODIFIED", "d")]


def test_watch_keeps_its_selector_when_it_resumes(serve: Serve) -> None:
    query = "fieldSelector=metadata.name%3Da"
    served = serve(
        composed(WHY, "GET", f"{PATH}?{query}", {"items": [], "metadata": {"resourceVersion": "10"}}),
        composed(WHY, "GET", f"{PATH}?{query}&watch=true&resourceVersion=10", (_line("ADDED", "a", "11"),)),
        composed(WHY, "GET", f"{PATH}?{query}&watch=true&resourceVersion=11", (_line("MODIFIED", "a", "12"),)),
    )
    events = served.kube.watch(
        "ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10, fields="metadata.name=a"
    )
    assert [kind for kind, _ in _take(events, 2)] == ["ADDED", "MODIFIED"]


def test_quiet_watch_ends_at_its_deadline(serve: Serve) -> None:
    never = threading.Event()
    served = serve(_list("10"), _follow("10", _line("ADDED", "a", "11"), Hold(never)))
    began = time.monotonic()
    events = served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=began + 0.5)
    assert [kind for kind, _ in events] == ["ADDED"]
    assert 0.5 <= time.monotonic() - began < 3
    never.set()


@pytest.mark.parametrize("received", [(), ({"type": "ERROR", "object": {"kind": "Status", "code": 410}},)])
def test_connections_that_end_at_once_are_repeated_with_a_pause(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, received: tuple[Part, ...]
) -> None:
    """A proxy that cuts streams, a revision that is gone again after each list: a server must not be hammered."""
    monkeypatch.setattr(transport, "_BACKOFF_S", 0.1)
    served = serve(_list("10"), _follow("10", *received))
    assert list(served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 1)) == []
    follows = [asked for asked in served.server.requests if ("watch", "true") in asked.query]
    assert 2 <= len(follows) <= 8


def test_watch_of_a_server_that_stays_away_raises_unreachable(serve: Serve) -> None:
    served = serve(_list("10"), composed(WHY, "GET", f"{PATH}?watch=true&resourceVersion=10", Drop()))
    events = served.kube.watch("ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 30)
    with pytest.raises(errors.UnreachableError, match="is gone"):
        next(events)


def test_refused_list_ends_the_watch_at_once(serve: Serve) -> None:
    refused = recorded("08_list_watch", "list ?labelSelector=team%3D%3D%3Da")
    events = serve(refused).kube.watch(
        "ray.io/v1", "RayCluster", "team-a", deadline=time.monotonic() + 10, labels="team===a"
    )
    with pytest.raises(errors.InvalidError, match="unable to parse requirement"):
        next(events)


def _obj(name: str, revision: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "resourceVersion": revision}
    return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": metadata}


def _line(kind: str, name: str, revision: str) -> dict[str, Any]:
    return {"type": kind, "object": _obj(name, revision)}


def _list(revision: str, *objects: dict[str, Any]) -> Exchange:
    answer = {"items": list(objects), "metadata": {"resourceVersion": revision}}
    return composed(WHY, "GET", PATH, answer)


def _follow(revision: str, *parts: Part) -> Exchange:
    return composed(WHY, "GET", f"{PATH}?watch=true&resourceVersion={revision}", parts)


def _parts(exchange: Exchange) -> tuple[Part, ...]:
    assert exchange.stream is not None
    return exchange.stream


def _dicts(exchange: Exchange) -> list[dict[str, Any]]:
    return [part for part in _parts(exchange) if isinstance(part, dict)]


def _take(events: Iterator[tuple[str, dict[str, Any]]], count: int) -> list[tuple[str, dict[str, Any]]]:
    return [next(events) for _ in range(count)]
