"""A head that ends while it starts is started again. With a fake head: Ray's fails only where the machine is busy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.bench.head_loss.processes import ProcessError, Processes, outer_environment
from jobs.bench.head_loss.ray_cluster import HEAD_STARTS, Ports, RayCluster
from tests.conftest import PORT_SHIFT

FAKE_HEAD = """\
#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

options = dict(zip(sys.argv, sys.argv[1:]))
tries = Path(options["--temp-dir"]).parent / "tries"
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
if len(tries.read_text()) <= {failures}:
    sys.exit("timed out during startup")

class Dashboard(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"version": "fake"}}')

HTTPServer(("127.0.0.1", int(options["--dashboard-port"])), Dashboard).serve_forever()
"""


def await_fake_head(folder: Path, failures: int, monkeypatch: pytest.MonkeyPatch) -> RayCluster:
    """A cluster whose fake head ends ``failures`` times and then stays."""
    head = folder / "python"
    head.write_text(FAKE_HEAD.format(python=sys.executable, failures=failures))
    head.chmod(0o755)
    with Processes(folder) as processes:
        cluster = RayCluster(processes, folder, Ports(4300 + PORT_SHIFT), outer_environment(), "token")
        monkeypatch.setattr(sys, "executable", str(head))
        cluster.start_head()
        cluster.await_head()
        return cluster


@pytest.mark.parametrize("failures", [0, HEAD_STARTS - 1])
def test_it_is_tried_again(failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await_fake_head(tmp_path, failures, monkeypatch).head_starts == failures + 1


def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessError, match="head ended with 1: timed out during startup"):
        await_fake_head(tmp_path, HEAD_STARTS, monkeypatch)
    assert len((tmp_path / "tries").read_text()) == HEAD_STARTS
