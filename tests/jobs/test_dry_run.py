"""``tidegate train --dry-run``: every shipped configuration is accepted, an impossible one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.training.config.shipped import CONFIGS
from jobs.cli import main

pytestmark = pytest.mark.usefixtures("warm_dry_run")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configuration_is_accepted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert path.read_text().startswith("# ")
    assert main(["train", "--config", path.stem, "--dry-run"]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    served = "parameter-server" in path.stem
    for word in ("parameters ", "rows a step", "gradients", *(("server ",) if served else ("mesh ", "≈ sum"))):
        assert word in shown


def test_eight_billion_parameters_are_refused_on_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["train", "--config", "8b-8gpu", "--workers", "1", "--set", "layout.dp_shard=1", "--set", "batch_size=1"]
    assert main([*alone, "--dry-run"]) == 2
    printed = capsys.readouterr()
    assert "7,854,133,248" in printed.out
    assert printed.err.startswith("workers = 1: device_memory_gib = 80: with one process rank 0 needs ")
    assert "117.0 GiB for weights, gradients and optimizer" in printed.err
    assert printed.err.rstrip().endswith("use more dp_shard, tp or pp")


def test_elastic_run_is_refused_for_a_size_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "bytelm-elastic", "--set", "device_memory_gib=0.1", "--dry-run"]) == 2
    printed = capsys.readouterr()
    refused = [line.split(": with ")[0] for line in printed.err.splitlines()]
    assert "workers = 2: device_memory_gib = 0.1" in refused
    assert "workers = 4: device_memory_gib = 0.1" not in refused
    assert "dp_shard=3" in printed.out  # the sizes that there are
