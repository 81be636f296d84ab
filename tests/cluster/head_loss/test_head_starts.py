"""A head that ends while it starts is started again. With a fake head: Ray's fails only where the machine is busy."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import PORT_SHIFT
from tests.support.processes import ProcessError, Processes, outer_environment
from tests.support.ray_cluster import HEAD_STARTS, Ports, RayCluster

FAKE_HEAD = """\
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Timer

options = dict(zip(sys.argv, sys.argv[1:]))
tries = Path(options["--temp-dir"]).parent / "tries"
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
if len(tries.read_text()) <= {failures}:
    print("timed out during startup", file=sys.stderr, flush=True)
    if not {answers_first}:
        sys.exit(1)

class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answers[self.path]).encode())

node = {{"state": "ALIVE", "is_head_node": True}}
lost = node | {{"start_time_ms": 1}}
stays = len(tries.read_text()) > {failures}
nodes = [lost, node | {{"start_time_ms": time.time() * 1000}}] if stays else [lost]
listed = {{"data": {{"result": {{"result": nodes}}}}}}
answers = {{"/api/version": {{"version": "fake"}}, "/api/v0/nodes?detail=1": listed}}
if not stays:
    Timer(0.5, lambda: os._exit(1)).start()
HTTPServer(("127.0.0.1", int(options["--dashboard-port"])), Dashboard).serve_forever()
"""


def await_fake_head(
    folder: Path, failures: int, monkeypatch: pytest.MonkeyPatch, *, answers_first: bool = False
) -> RayCluster:
    """A cluster whose fake head ends ``failures`` times, at once or after its dashboard answered, and then stays."""
    script, head = folder / "head.py", folder / "python"
    script.write_text(FAKE_HEAD.format(failures=failures, answers_first=answers_first))
    head.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n')
    head.chmod(0o755)
    with Processes(folder) as processes:
        cluster = RayCluster(processes, folder, Ports(4500 + PORT_SHIFT), outer_environment(), "token")
        monkeypatch.setattr(sys, "executable", str(head))
        cluster.start_head()
        cluster.await_head()
        cluster.await_nodes(1)
        return cluster


@pytest.mark.parametrize("failures", [0, HEAD_STARTS - 1])
def test_head_that_ends_at_its_start_is_started_again(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await_fake_head(tmp_path, failures, monkeypatch).head_starts == failures + 1


def test_the_lost_head_is_not_taken_for_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's dashboard answers before its raylet has joined, and its tables still call the lost head alive."""
    assert await_fake_head(tmp_path, HEAD_STARTS - 1, monkeypatch, answers_first=True).head_starts == HEAD_STARTS


def test_head_that_never_stays_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessError, match="head ended with 1: timed out during startup"):
        await_fake_head(tmp_path, HEAD_STARTS, monkeypatch)
    assert len((tmp_path / "tries").read_text()) == HEAD_STARTS
