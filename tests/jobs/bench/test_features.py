"""The benchmark of features: its verdict, its arguments, and a few reads from a server of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.bench.features.feast_process import connection_string
from jobs.bench.features.report import JUDGED, findings, shortfall
from jobs.bench.features.workload import Turn
from jobs.cli import main

FEAST_PYTHON = os.environ.get("TEST_FEAST_PYTHON")
OURS, FEAST = JUDGED


def turns(*cpu_us: float) -> list[Turn]:
    return [Turn(each, 2 * each) for each in cpu_us]


def test_findings_are_medians_beside_feasts() -> None:
    ours, feast = findings({(1, OURS): turns(10, 900, 20), (1, FEAST): turns(100, 1, 200)})
    assert (ours.cpu_us, ours.p50_us, ours.ratio) == (20, 40, 5)
    assert (feast.cpu_us, feast.ratio) == (100, 1)


def test_without_feast_there_is_no_ratio() -> None:
    (found,) = findings({(32, OURS): turns(10)})
    assert found.ratio is None
    assert shortfall([found]) is None


@pytest.mark.parametrize(("entities", "cpu_us", "short"), [(32, 100, False), (32, 101, True), (1, 900, False)])
def test_the_promise_is_ten_times_less_for_32_entities(entities: int, cpu_us: float, short: bool) -> None:
    said = shortfall(findings({(entities, OURS): turns(cpu_us), (entities, FEAST): turns(1000)}))
    assert (said is not None) is short
    if said:
        assert "OnlineStore.read of 32 entities takes 101 µs of client CPU, 9.9 times less" in said


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("redis://localhost", "localhost:6379"),
        ("redis://:p%40s@h:1/2", "h:1,db=2,password=p@s"),
        ("rediss://u:p@h:1", "h:1,username=u,password=p,ssl=true"),
    ],
)
def test_feast_connection_string_has_every_part_of_the_url(url: str, connection: str) -> None:
    assert connection_string(url) == connection


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--entities", "0"], "--entities 0: 1 to 1000 are accepted"),
        (["--entities", "1", "1001"], "--entities 1 1001: 1 to 1000 are accepted"),
        (["--rounds", "0"], "--rounds 0: 1 or more is accepted"),
        (["--url", "localhost:6379"], "redis://:PASSWORD@HOST:PORT/DB"),
        (["--url", "redis://:a,b@localhost"], "no comma"),
        (["--feast-python", "/nowhere/python"], "/nowhere/python: there is no such program"),
    ],
)
def test_refused_argument_is_named(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], said: str) -> None:
    assert main(["bench", "features", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_missing_server_ends_the_benchmark_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "features", "--url", "redis://127.0.0.1:1"]) == 1
    assert "the feature store in Redis gave no answer" in capsys.readouterr().err


@pytest.mark.parametrize("feast", [False, True], ids=["alone", "beside Feast"])
def test_reads_are_measured(tmp_path: Path, feast: bool) -> None:
    if feast and FEAST_PYTHON is None:
        pytest.skip("TEST_FEAST_PYTHON names no Python with feast[redis]")
    path = tmp_path / "found.json"
    beside = ["--feast-python", str(FEAST_PYTHON)] if feast else []
    assert main(["bench", "features", "--entities", "1", "3", "--rounds", "1", "--json", str(path), *beside]) == 0
    found = json.loads(path.read_text())
    assert (found["feast"] is not None) is feast
    assert found["shortfall"] is None
    assert [each["entities"] for each in found["readers"]] == [1] * (6 if feast else 3) + [3] * (6 if feast else 3)
    assert all(each["cpu_us"] > 0 and each["p50_us"] > 0 for each in found["readers"])
    assert all((each["times_less_cpu_than_feast"] is not None) is feast for each in found["readers"])
