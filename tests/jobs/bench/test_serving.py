"""The benchmark of serving: what it reads, counts and judges, and one small server measured for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.bench.serving.accounting import MARK, Meter, Reading
from jobs.bench.serving.connection import ReplyError, parse
from jobs.bench.serving.measure import Cell
from jobs.bench.serving.memory import MIB, Sample, growth
from jobs.bench.serving.v2_request import DISTINCT, Target, encode
from jobs.bench.serving.verdicts import rows, verdicts
from jobs.cli import main

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nserver: x\r\n\r\nhello"


def _cell(arm: str, cpu_ms: float, connections: int = 64, turn: int = 0, failed: int = 0) -> Cell:
    return Cell(arm, connections, turn, 100, failed, 1000.0, 1.0, 2.0, cpu_ms, 0.1, {})


def test_a_reply_is_complete_when_its_declared_bytes_are_there() -> None:
    assert parse(REPLY) == (200, b"hello")
    assert [parse(REPLY[:end]) for end in range(len(REPLY))] == [None] * len(REPLY)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(REPLY + b"more", "more than the 5 bytes"), (b"HTTP/1.1 200 OK\r\n\r\n", "without Content-Length")],
)
def test_reply_without_its_declared_length_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ReplyError, match=sentence):
        parse(data)


def test_requests_carry_keys_and_their_expected_answer() -> None:
    found = encode(Target("127.0.0.1", 80, "/path", "secret"))
    assert len({request.raw for request in found}) == DISTINCT
    assert all(b"Authorization: Bearer secret\r\nx-sticky-key: key-" in request.raw for request in found)
    row = json.loads(found[10].raw.partition(b"\r\n\r\n")[2])["inputs"][0]["data"]
    assert row == [2.5, 7.5, 12.5, 17.5]
    assert found[10].expected == 0.5 * 2.5 - 1.25 * 7.5 + 2 * 12.5 + 0.75 * 17.5


def test_cpu_time_follows_processes_that_come_go_and_change_their_names() -> None:
    before = Reading({(1, 0.0): ("gateway", 5.0), (2, 0.0): ("idle worker", 1.0), (3, 0.0): ("old", 2.0)})
    after = Reading(
        {
            (1, 0.0): ("gateway", 7.0),
            (2, 0.0): ("version", 1.5),
            (3, 0.0): ("old", 2.25),  # gone since: as last seen
            (1, 9.0): ("gateway", 0.5),  # its pid used again
        }
    )
    assert after.since(before) == {"gateway": 2.5, "version": 0.5, "old": 0.25}


def test_a_process_counts_by_its_mark_also_after_its_end() -> None:
    mark = f"test-{os.getpid()}"
    meter = Meter(mark)
    assert meter.read().processes == {}
    spin = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        (sys.executable, "-c", spin), env={**os.environ, MARK: mark}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (spent,) = meter.read().since(Reading({})).values()
        assert 0.15 < spent < 5
        process.communicate(b"\n")
    assert sum(meter.read().since(Reading({})).values()) == spent


def test_rows_are_medians_over_the_rounds() -> None:
    cells = [_cell("a", 3.0), _cell("b", 9.0), _cell("a", 1.0, turn=1), _cell("a", 2.0, turn=2, failed=1)]
    first, second = rows(cells)
    assert (first.arm, first.cpu_ms, first.requests, first.failed) == ("a", 2.0, 300, 1)
    assert (second.arm, second.cpu_ms) == ("b", 9.0)


@pytest.mark.parametrize(
    ("cells", "reached"),
    [
        ({"tidegate inline": 0.6}, [True]),
        ({"tidegate inline": 0.61}, [False]),
        ({"tidegate inline": 0.5, "mlserver": 0.7, "kserve": 0.4}, [True, True, False]),
        ({"tidegate dedicated": 0.95}, [True]),
        ({"tidegate dedicated": 0.9, "serve ingress → deployment": 1.7}, [True, False]),
        ({"tidegate dedicated": 0.96, "serve ingress → deployment": 2.0}, [False, True]),
        ({"uvicorn + FastAPI": 0.1}, []),
    ],
)
def test_targets_count_at_64_connections(cells: dict[str, float], reached: list[bool]) -> None:
    found = rows([_cell(arm, ms) for arm, ms in cells.items()] + [_cell("tidegate inline", 9.0, connections=1)])
    assert [verdict.is_met for verdict in verdicts(found, [])] == reached


@pytest.mark.parametrize(("last", "grown"), [(102, 2), (99, -1)])
def test_growth_is_that_of_the_last_quarter(last: int, grown: int) -> None:
    sizes = [50, 80, 99, 100, last]
    samples = [Sample(index * 10, {1: size * MIB, 2: 10 * MIB}) for index, size in enumerate(sizes)]
    assert growth(samples) == max(grown, 0) * MIB
    small, quarter = list(verdicts([], samples))
    assert (small.found, small.is_met) == (max(sizes), True)
    assert quarter.is_met
    assert growth([*samples[:4], Sample(40, {1: last * MIB, 3: 500 * MIB})]) == grown * MIB


def test_a_server_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, drawn = tmp_path / "found.json", tmp_path / "found.png"
    options = ["--rounds", "1", "--connections", "1", "--requests", "400", "--idle", "0.2"]
    assert main(["bench", "serving", "--only", "uvicorn", *options, "--json", str(found), "--plot", str(drawn)]) == 0
    report = json.loads(found.read_text())
    (row,) = report["rows"]
    assert (row["arm"], row["connections"], row["requests"], row["failed"]) == ("uvicorn + FastAPI", 1, 400, 0)
    assert 0 < row["cpu_ms"] < 50
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert drawn.stat().st_size > 1000
    assert "uvicorn + FastAPI" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--only", "nothing"], ["--rounds", "0"], ["--seconds", "-1"]])
def test_wrong_arguments_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "serving", *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err
