"""The folder of a run: what counts as a checkpoint, and which are kept."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from app.training.storage.run_folder import CLEARED, CheckpointMetadata, RunFolder, RunRecord, retained


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path / "runs" / "one") if request.param == "local" else f"memory://{tmp_path}/one")


def written(folder: RunFolder, *steps: int) -> None:
    for step in steps:
        folder.write_bytes(f"checkpoints/{step:09d}/__0_0.distcp", b"shard")


@pytest.mark.parametrize(
    ("losses", "keep", "keep_best", "kept"),
    [
        ([3.0, 2.0, 1.0], 2, 0, {20, 30}),
        ([1.0, 2.0, 3.0], 1, 1, {10, 30}),
        ([1.0, 2.0, 3.0], 1, 2, {10, 20, 30}),
        ([1.0], 5, 5, {10}),
        ([], 1, 1, set()),
    ],
)
def test_retained_checkpoints(losses: list[float], keep: int, keep_best: int, kept: set[int]) -> None:
    marks = [CheckpointMetadata(10 * (index + 1), loss, "") for index, loss in enumerate(losses)]
    assert retained(marks, keep, keep_best) == kept


def test_only_a_marked_checkpoint_counts(folder: RunFolder) -> None:
    assert folder.newest() is None
    written(folder, 10, 20)
    assert folder.newest() is None
    folder.commit(CheckpointMetadata(10, 2.5, "tp=2"), keep=2, keep_best=0)
    assert folder.newest() == CheckpointMetadata(10, 2.5, "tp=2")
    folder.write_bytes("checkpoints/000000020/complete.json", b'{"step": 20, "lo')
    assert folder.newest() == CheckpointMetadata(10, 2.5, "tp=2")
    assert folder.discard_incomplete() == [20]
    assert folder.read_bytes("checkpoints/000000020/__0_0.distcp") is None


def test_commit_removes_what_is_not_kept(folder: RunFolder) -> None:
    for step, loss in ((1, 1.0), (2, 3.0), (3, 2.0), (4, 4.0)):
        written(folder, step)
        folder.commit(CheckpointMetadata(step, loss, ""), keep=2, keep_best=1)
    assert [metadata.step for metadata in folder.complete()] == [1, 3, 4]
    assert folder.read_bytes("checkpoints/000000002/__0_0.distcp") is None


def test_record_survives_and_clear_removes(folder: RunFolder) -> None:
    assert folder.record() is None
    folder.write_record(RunRecord("code", "run"))
    again = pickle.loads(pickle.dumps(folder))
    assert again.record() == RunRecord("code", "run", "")
    folder.clear()
    folder.clear()
    assert folder.record() is None


def test_interrupted_clearing_leaves_no_run_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(str(tmp_path / "one"))
    folder.write_record(RunRecord("code", "run"))
    written(folder, 10)
    folder.commit(CheckpointMetadata(10, 1.0, ""), keep=1, keep_best=0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LocalFileSystem, "rm", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.clear()
    record = folder.record()
    assert record is not None
    assert record.version == CLEARED, "what says that the run is over"
    folder.clear()
    assert not (tmp_path / "one").exists()


def test_removal_of_a_folder_that_is_still_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(str(tmp_path))
    written(folder, 10, 20)
    folder.commit(CheckpointMetadata(10, 1.0, ""), keep=1, keep_best=0)
    remove = LocalFileSystem.rm

    def busy(fs: LocalFileSystem, path: str, recursive: bool = False, **more: object) -> None:
        if recursive:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        remove(fs, path, recursive, **more)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFileSystem, "rm", busy)
        assert folder.discard_incomplete() == [20]
        written(folder, 30)
        folder.commit(CheckpointMetadata(30, 1.0, ""), keep=1, keep_best=0)
    assert [metadata.step for metadata in folder.complete()] == [30]
    assert folder.discard_incomplete() == [10, 20]
    assert folder.discard_incomplete() == []
