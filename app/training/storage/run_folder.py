"""The folder of a run: its record and its checkpoints. A local folder that all nodes reach, or anything that
fsspec opens.

``run.json`` says which run it is; ``checkpoints/<step>/`` holds the shards and, written last, ``complete.json``: a
checkpoint without it was cut off while it was written and is never chosen.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from fsspec.core import url_to_fs

_COMPLETE = "complete.json"
_RUN = "run.json"
CLEARED = "none"
"""The version of a run whose folder was about to be removed."""


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """Facts about a complete checkpoint.

    Attributes:
        step: the next step to be made, which is also the loader's position.
        loss: mean training loss over the steps since the checkpoint before.
        layout: the layout that saved it; any other may load it.
    """

    step: int
    loss: float
    layout: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The run that a folder belongs to.

    Attributes:
        code: digest of the code that began it.
        mlflow_run: the run in MLflow that goes on with it.
        version: the registered version; empty until there is one.
    """

    code: str
    mlflow_run: str
    version: str = ""


class RunFolder:
    """A run's folder at an address. Cheap to make, and to pickle."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.url,)

    def checkpoint(self, step: int) -> str:
        """The address of the checkpoint at ``step``."""
        return f"{self.url}/checkpoints/{step:09d}"

    def complete(self) -> list[CheckpointMetadata]:
        """Every complete checkpoint, oldest first."""
        found = (self._read(f"{self._checkpoints}/{name}/{_COMPLETE}") for name in self._names())
        return sorted(
            (CheckpointMetadata(**fields) for fields in found if fields), key=lambda metadata: metadata.step
        )

    def newest(self) -> CheckpointMetadata | None:
        """The complete checkpoint with the most steps."""
        return max(self.complete(), key=lambda metadata: metadata.step, default=None)

    def commit(self, metadata: CheckpointMetadata, keep: int, keep_best: int) -> None:
        """Declares a checkpoint complete, and removes those that are not to be kept."""
        self._write(f"{self._checkpoints}/{metadata.step:09d}/{_COMPLETE}", asdict(metadata))
        marks = self.complete()
        kept = retained(marks, keep, keep_best)
        for other in marks:
            if other.step not in kept:
                self._remove(f"{other.step:09d}")

    def discard_incomplete(self) -> list[int]:
        """Removes checkpoints that were cut off while being written; returns their steps. No run may be writing."""
        names = self._names()  # before the marks: one that is marked in between is no rubbish
        complete = {metadata.step for metadata in self.complete()}
        cut_off = [name for name in names if int(name) not in complete]
        for name in cut_off:
            self._remove(name)
        return [int(name) for name in cut_off]

    def record(self) -> RunRecord | None:
        """Returns the record of the folder's run; None for a folder of no run."""
        fields = self._read(f"{self._root}/{_RUN}")
        return RunRecord(**fields) if fields else None

    def write_record(self, record: RunRecord) -> None:
        """Records the run that the folder belongs to."""
        self._fs.makedirs(self._root, exist_ok=True)
        self._write(f"{self._root}/{_RUN}", asdict(record))

    def clear(self) -> None:
        """Removes the folder with all that is in it.

        What is left when this is cut off must not be gone on from: to the end the folder says that its run is over.
        """
        fs, root = self._fs, self._root
        if not fs.exists(root):
            return
        record = self.record() or RunRecord("", "")
        self.write_record(replace(record, version=record.version or CLEARED))
        fs.invalidate_cache()
        for path in fs.ls(root, detail=False):
            if posixpath.basename(str(path).rstrip("/")) != _RUN:
                fs.rm(path, recursive=True)
        fs.rm(root, recursive=True)

    def read_bytes(self, name: str) -> bytes | None:
        """A file of the folder; None if there is no such file."""
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes a file of the folder."""
        path = f"{self._root}/{name}"
        self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        self._fs.pipe_file(path, content)

    @property
    def _fs(self) -> Any:
        return url_to_fs(self.url)[0]

    @property
    def _root(self) -> str:
        return str(url_to_fs(self.url)[1])

    @property
    def _checkpoints(self) -> str:
        return f"{self._root}/checkpoints"

    def _names(self) -> list[str]:
        fs = self._fs
        fs.invalidate_cache()
        if not fs.exists(self._checkpoints):
            return []
        names = (posixpath.basename(str(path).rstrip("/")) for path in fs.ls(self._checkpoints, detail=False))
        return sorted(name for name in names if name.isdigit())

    def _read(self, path: str) -> dict[str, Any]:
        try:
            found = json.loads(self._fs.cat_file(path))
        except (FileNotFoundError, json.JSONDecodeError):  # absent, or cut off while it was written
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, path: str, fields: dict[str, Any]) -> None:
        # Under another name first: a disk that is full must not leave half of it.
        self._fs.pipe_file(f"{path}.unfinished", json.dumps(fields).encode())
        self._fs.mv(f"{path}.unfinished", path)

    def _remove(self, name: str) -> None:
        # The mark goes first: what is half removed must not look complete.
        fs, path = self._fs, f"{self._checkpoints}/{name}"
        if fs.exists(f"{path}/{_COMPLETE}"):
            fs.rm(f"{path}/{_COMPLETE}")
        try:
            fs.rm(path, recursive=True)
        except OSError:
            # A process that is about to end may still write there, and some file systems keep what is open. What is
            # left has no mark; the next look for such removes it.
            fs.invalidate_cache()


def retained(marks: Iterable[CheckpointMetadata], keep: int, keep_best: int) -> set[int]:
    """Steps of the ``keep`` newest checkpoints and of the ``keep_best`` with the lowest loss. Pure."""
    by_step = sorted(marks, key=lambda metadata: metadata.step)
    best = sorted(by_step, key=lambda metadata: metadata.loss)[:keep_best]
    return {metadata.step for metadata in (*by_step[-keep:], *best)}
