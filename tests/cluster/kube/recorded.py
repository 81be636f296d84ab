"""API server for readers: recorded objects, and changes that a test makes while it is watched."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cluster.kube.errors import ExistsError, KubeError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.snapshot import Snapshot
from tests.cluster.recordings import TRANSCRIPTS

Change = tuple[str, Object]


class Recorded:
    """Lists, finds and watches the objects that ``change`` was given."""

    server = "https://recorded:6443"

    def __init__(self, *objects: Object) -> None:
        self._changed = threading.Condition()
        self._changes: list[Change] = []
        self.refused: dict[str, KubeError] = {}
        for obj in objects:
            self.change("ADDED", obj)

    def change(self, change: str, obj: Object) -> None:
        with self._changed:
            self._changes.append((change, obj))
            self._changed.notify_all()

    def list(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        if kind in self.refused:
            raise self.refused[kind]
        with self._changed:
            return [obj for obj in self._now().values() if (obj["apiVersion"], obj["kind"]) == (api_version, kind)]

    def find(self, key: Key) -> Object | None:
        with self._changed:
            return self._now().get(key)

    def create(self, obj: Object) -> Object:
        if self.find(key_of(obj)):
            raise ExistsError("there is one", status=409)
        self.change("ADDED", obj)
        return obj

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        *,
        deadline: float,
        labels: str = "",
        fields: str = "",
    ) -> Iterator[Change]:
        if kind in self.refused:
            raise self.refused[kind]
        seen = 0
        while True:
            with self._changed:
                left = deadline - time.monotonic()
                if not self._changed.wait_for(lambda: len(self._changes) > seen, timeout=max(left, 0)):  # noqa: B023
                    return
                new, seen = self._changes[seen:], len(self._changes)
            yield from (each for each in new if (each[1]["apiVersion"], each[1]["kind"]) == (api_version, kind))

    def _now(self) -> dict[Key, Object]:
        found: dict[Key, Object] = {}
        for change, obj in self._changes:
            if change == "DELETED":
                found.pop(key_of(obj), None)
            else:
                found[key_of(obj)] = obj
        return found


def transcript(name: str) -> list[dict[str, Any]]:
    """The watch lines of a recording, in their order."""
    lines = [json.loads(line) for line in (TRANSCRIPTS / f"{name}.jsonl").read_text().splitlines()]
    return [line for line in lines if "watch" in line and line["type"] != "BOOKMARK"]


def snapshots(name: str) -> Iterator[tuple[float, Change, Snapshot]]:
    """Yields for each line of a recording its time, its change, and the snapshot after it."""
    lines = transcript(name)
    dated = next(line for line in lines if "creationTimestamp" in line["object"]["metadata"])
    begin = datetime.fromisoformat(dated["object"]["metadata"]["creationTimestamp"]) - timedelta(seconds=dated["t"])
    now: dict[tuple[str, str], Object] = {}
    for line in lines:
        obj = line["object"]
        identity = (line["watch"], obj["metadata"]["name"])
        if line["type"] == "DELETED":
            now.pop(identity, None)
        else:
            now[identity] = obj
        yield line["t"], (line["type"], obj), Snapshot.of(now.values(), begin + timedelta(seconds=line["t"]))


def snapshot_at(name: str, seconds: float) -> Snapshot:
    """The snapshot ``seconds`` after the beginning."""
    return [snapshot for t, _, snapshot in snapshots(name) if t <= seconds][-1]
