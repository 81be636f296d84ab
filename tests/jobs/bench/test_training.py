"""The benchmark of the engine: its verdicts, and its loops for a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.bench.training.command import Finding
from jobs.bench.training.gpu import throughput
from jobs.bench.training.steps import ratio
from jobs.cli import main


@pytest.mark.parametrize(
    ("found", "at_most", "holds"), [(1.0, 1.02, True), (1.02, 1.02, True), (1.03, 1.02, False), (9.0, None, True)]
)
def test_ratio_above_its_bound_is_not_met(found: float, at_most: float | None, holds: bool) -> None:
    assert Finding("name", found, at_most, "").is_met is holds


def test_ratio_is_of_medians() -> None:
    assert ratio({"a": [1.0, 2.0, 900.0], "b": [4.0, 4.0, 4.0]}, "a", "b") == 0.5


def test_checkpoints_and_memory_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    assert main(
        ["bench", "training", "--only", "saving", "memory", "--size", "1m", "--saves", "2", "--json", str(path)]
    ) in (
        0,
        1,
    )
    ratios = json.loads(path.read_text())["ratios"]
    assert [each["name"].split(",")[0] for each in ratios] == ["checkpoint stall", "peak memory per rank"]
    assert all(each["ratio"] > 0 for each in ratios)


def test_throughput_without_a_gpu() -> None:
    found = throughput("1m", sequence=32, steps=2)
    assert found.device == "CPU"
    assert found.utilisation is None
    assert found.tokens_per_s > 0
