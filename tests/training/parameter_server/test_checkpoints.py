"""The checkpoint that a run goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
import torch

from app.training.parameter_server import checkpoints


def write(folder: Path, step: int, *servers: int) -> None:
    for server in servers:
        checkpoints.write(folder, step, server, 2, {"values": torch.full((2,), float(step)), "clocks": [step]})


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    write(tmp_path, 8, 0, 1)
    write(tmp_path, 16, 1)
    (tmp_path / "step-00000016" / "server-0-of-2.unfinished").write_bytes(b"half")
    assert checkpoints.complete(tmp_path) == {8: 2}
    assert checkpoints.read(tmp_path, 8, 1, 2)["values"].tolist() == [8.0, 8.0]


@pytest.mark.parametrize(("step", "left"), [(-1, set()), (8, {8}), (16, {8, 16}), (99, {8, 16, 24})])
def test_checkpoints_after_the_resumed_step_are_removed(tmp_path: Path, step: int, left: set[int]) -> None:
    for each in (8, 16, 24):
        write(tmp_path, each, 0, 1)
    checkpoints.remove_after(tmp_path, step)
    assert set(checkpoints.complete(tmp_path)) == left


def test_old_checkpoints_are_removed_when_two_newer_are_complete(tmp_path: Path) -> None:
    for each in (8, 16):
        write(tmp_path, each, 0, 1)
    write(tmp_path, 24, 0)
    checkpoints.remove_old(tmp_path)
    assert set(checkpoints.complete(tmp_path)) == {8, 16}
    write(tmp_path, 24, 1)
    checkpoints.remove_old(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000016", "step-00000024"}


def test_two_processes_that_write_one_part_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hung writes when its successor does."""
    save, waiting = torch.save, [True]

    def slow(state: object, file: IO[bytes]) -> None:
        if waiting.pop() if waiting else False:
            write(tmp_path, 8, 0)  # meanwhile
        save(state, file)

    monkeypatch.setattr(torch, "save", slow)
    write(tmp_path, 8, 0)
    assert [path.name for path in (tmp_path / "step-00000008").iterdir()] == ["server-0-of-2.pt"]
