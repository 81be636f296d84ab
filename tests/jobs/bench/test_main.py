"""The command line of all benchmarks: names, wrong arguments, printed and written findings, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.cli import bench, main
from tests.releases.judge.simulation import command, methods
from tests.releases.judge.simulation.promises import HARMFUL, SAFE


def test_unknown_name_is_refused_and_help_lists_the_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed"]) == 2
    assert main(["bench", "--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in bench.BENCHMARKS if name not in shown] == []


@pytest.mark.parametrize("name", bench.BENCHMARKS)
def test_help_of_every_benchmark(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", name, "--help"]) == 0
    shown = capsys.readouterr().out
    for part in (f"tidegate bench {name}", "--json", "--plot", "Exit code"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["layouts", "--only", "ddp3"], "--only ddp3: accepted are ddp2, replicate2"),
        (["judge", "--releases", "19"], "--releases 19: 20 to 20000 are accepted"),
        (["judge", "--releases", "20001"], "--releases 20001: 20 to 20000 are accepted"),
        (["serving", "--seconds", "1", "--requests", "1"], "--seconds and --requests: one of them is accepted"),
        (["features", "--peers", "--feast-python", "/p"], "--peers and --feast-python: one of them is accepted"),
        (["training", "--plot"], "--plot"),
    ],
)
def test_refused_argument_is_named(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_benchmark_from_the_tests_needs_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert main(["bench", "judge"]) == 2
    assert "simulation.command is one of the repository's tests: run it from a clone" in capsys.readouterr().err


def test_findings_are_printed_written_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, figure = tmp_path / "found.json", tmp_path / "found.png"
    assert main(["bench", "judge", "--releases", "20", "--json", str(document), "--plot", str(figure)]) == 0
    found = json.loads(document.read_text())
    assert found["machine"]["cores"] >= 1
    assert found["broken"] == []
    assert len(found["cells"]) == len(SAFE) + len(HARMFUL)
    assert [each["methods"]["5 failed checks"]["median_s"] for each in found["cells"]][-1] == 300
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "260 releases simulated and judged" in capsys.readouterr().out


def test_broken_promise_is_printed_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "METHODS", {**methods.METHODS, methods.JUDGE: methods.failed_checks})
    assert main(["bench", "judge", "--releases", "20"]) == 1
    assert "does not hold: " in capsys.readouterr().out
