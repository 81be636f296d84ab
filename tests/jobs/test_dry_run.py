"""``python -m jobs.train --dry-run``: every shipped configuration can be, and what cannot is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.train import CONFIGS, main


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_can_be(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert path.read_text().startswith("# ")
    assert main(["--config", path.stem, "--dry-run"]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    for word in ("mesh ", "parameters ", "rows a step", "gradients", "≈ sum"):
        assert word in shown


def test_eight_billion_parameters_do_not_fit_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["--config", "8b-8gpu", "--workers", "1", "--set", "layout.dp_shard=1", "--set", "batch_size=1"]
    assert main([*alone, "--dry-run"]) == 2
    said = capsys.readouterr()
    assert "7,854,133,248" in said.out
    assert said.err.startswith("workers = 1: device_memory_gib = 80: with one process rank 0 needs ")
    assert "117.0 GiB for weights, gradients and optimizer" in said.err
    assert said.err.rstrip().endswith("use more dp_shard, tp or pp")


def test_every_size_of_an_elastic_run_must_fit(capsys: pytest.CaptureFixture[str]) -> None:
    elastic = ["--workers", "2:4", "--set", "layout.dp_shard=rest", "--set", "device_memory_gib=60"]
    assert main(["--config", "8b-8gpu", *elastic, "--dry-run"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("workers = 2: device_memory_gib = 60: with dp_shard=2 rank 0 needs ")
    assert len(said.err.splitlines()) == 1
    assert "dp_shard=4" in said.out
