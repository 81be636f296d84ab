"""Sharded checkpoints by torch.distributed.checkpoint: every rank writes its part, any layout reads it.

A checkpoint holds the model and the optimizer's states under the names that they have in the whole model. All else
follows from its step: the learning rate, the loader's position, the random states (``schedule``).
"""

from __future__ import annotations

import secrets
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._state_dict_utils import _create_cpu_state_dict
from torch.distributed.checkpoint._fsspec_filesystem import FsspecReader, FsspecWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from app.errors import TidegateError
from app.training.optimizer import RankOptimizer
from app.training.parallel.distributed_model import DistributedModel
from app.training.storage.run_folder import CheckpointMetadata, RunFolder
from app.training.worker.protocol import Saved

WRITE_TIMEOUT_S = 1800.0
"""How long one checkpoint may take to be written."""
_SEEN_BY_ALL = "shared"


@dataclass(frozen=True, slots=True)
class Retention:
    """Checkpoints that are kept: the ``newest``, and the ``best`` by training loss."""

    newest: int
    best: int


class Checkpointer:
    """Saves and restores one rank's part. All methods are collective calls.

    Args:
        group: a CPU process group of its own: the writing goes on beside training, and collectives of two threads
            must not share one.
        tell: takes a word for each complete checkpoint; called on the first rank, from another thread.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: DistributedModel,
        optimizer: RankOptimizer,
        group: dist.ProcessGroup,
        retention: Retention,
        tell: Callable[[Saved], object],
    ) -> None:
        self._folder, self._model, self._optimizer = folder, model, optimizer
        self._group, self._retention, self._tell = group, retention, tell
        self._flying: _Flight | None = None
        self._stager = _Stager(cache_staged_state_dict=True)
        self._stalled_s = 0.0

    def take_stall_s(self) -> float:
        """Seconds that this rank's loop waited for checkpoints since the last call."""
        stalled, self._stalled_s = self._stalled_s, 0.0
        return stalled

    def save(self, step: int, loss: float) -> None:
        """Copies this rank's part, which is then written beside training; waits first for a checkpoint in flight.

        Args:
            step: the next step; loss: mean since the checkpoint before.

        Raises:
            CheckpointError: the one before could not be written.
        """
        started = time.monotonic()
        self.finish()
        writer = FsspecWriter(self._folder.checkpoint(step))
        future: Any = async_save(
            self._state(), storage_writer=writer, process_group=self._group, async_stager=self._stager
        )
        stall_s = time.monotonic() - started
        self._stalled_s += stall_s
        self._flying = _Flight(future)
        if dist.get_rank() == 0:
            metadata = CheckpointMetadata(step, loss, str(self._model.layout))
            self._flying.then(lambda: self._complete(metadata, started, stall_s))

    def finish(self) -> None:
        """Waits until the checkpoint in flight is complete.

        Raises:
            CheckpointError: it could not be written.
        """
        flying, self._flying = self._flying, None
        if flying is not None:
            flying.wait()

    def restore(self) -> int:
        """Loads the newest complete checkpoint in place, whatever layout saved it; returns the next step, 0 where
        there is none."""
        newest = [self._folder.newest() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(newest, src=0, group=self._group)
        (metadata,) = newest
        if metadata is None:
            return 0
        self._optimizer.prepare(metadata.step)
        reader = FsspecReader(self._folder.checkpoint(metadata.step))
        try:
            load(self._state(), storage_reader=reader, process_group=self._group)
        except CheckpointException as error:
            raise CheckpointError(
                f"the checkpoint at step {metadata.step} cannot be read: {_cause(error)}"
            ) from error
        return metadata.step

    def _complete(self, metadata: CheckpointMetadata, started: float, stall_s: float) -> None:
        self._folder.commit(metadata, self._retention.newest, self._retention.best)
        self._tell(Saved(metadata.step, stall_s, time.monotonic() - started))

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for part in self._model.parts:
            state |= {f"model.{name}": value for name, value in part.state_dict().items()}
            for name, parameter in part.named_parameters():
                states = self._optimizer.states(parameter)
                state |= {f"optimizer.{name}.{which}": value for which, value in states.items()}
        return state


class _Stager(BlockingAsyncStager):
    """Copies into the same memory each time, as only one checkpoint is ever in flight: new pages cost more than the
    copy. torch's own asks for pinned memory even where there is no device to pin it for."""

    def stage(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        if self.state_dict_cache is None and not torch.accelerator.is_available():
            self.state_dict_cache = _create_cpu_state_dict(state_dict)
        staged: dict[str, Any] = super().stage(state_dict)
        return staged


class CheckpointError(TidegateError):
    """A checkpoint could not be written or read. Without one training cannot promise what a lost worker costs."""


def check_shared(folder: RunFolder, group: dist.ProcessGroup) -> None:
    """Checks that every rank reads what the first one wrote. A collective call.

    Raises:
        CheckpointError: one does not: shards of a checkpoint would be on several machines, and on none together.
    """
    token = [secrets.token_hex(8)]
    if dist.get_rank() == 0:
        folder.write_bytes(_SEEN_BY_ALL, token[0].encode())
    dist.broadcast_object_list(token, src=0, group=group)
    seen = [False] * dist.get_world_size()
    dist.all_gather_object(seen, folder.read_bytes(_SEEN_BY_ALL) == token[0].encode(), group=group)
    if not all(seen):
        raise CheckpointError(
            f"{folder.url} is not the same folder for all workers (not for rank {seen.index(False)}); accepted is a "
            "TIDEGATE_TRAINING_STORAGE that all nodes reach: a shared folder, or an address of an object store"
        )


def load_whole(folder: RunFolder, step: int, model: nn.Module) -> None:
    """Loads the weights of any layout's checkpoint into a plain model on this process alone.

    Raises:
        CheckpointError: it cannot be read.
    """
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    with warnings.catch_warnings():  # that this is one process is what is meant
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        try:
            load(state, storage_reader=FsspecReader(folder.checkpoint(step)), no_dist=True)
        except (Exception, CheckpointException) as error:
            raise CheckpointError(f"the checkpoint at step {step} cannot be read: {_cause(error)}") from error
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})


def _cause(error: BaseException) -> str:
    """The first rank's reason in one line."""
    if isinstance(error, CheckpointException):
        causes = [failure[0] for failure in error.failures.values()]
        return repr(causes[0]) if causes else "no reason given"
    return repr(error)


class _Flight:
    """A checkpoint that is being written."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future
        self._error: BaseException | None = None
        self._followed = threading.Event()
        self._followed.set()

    def then(self, complete: Callable[[], None]) -> None:
        """Calls ``complete`` once the checkpoint is written."""
        self._followed.clear()

        def follow(future: Future[Any]) -> None:
            try:
                if future.exception() is None:
                    complete()
            except Exception as error:
                self._error = error
            finally:
                self._followed.set()

        self._future.add_done_callback(follow)

    def wait(self) -> None:
        try:
            self._future.result(timeout=WRITE_TIMEOUT_S)
            if not self._followed.wait(timeout=WRITE_TIMEOUT_S):
                raise TimeoutError(f"not complete after {WRITE_TIMEOUT_S:.0f} s")
        except (Exception, CheckpointException) as error:  # torch's is a BaseException
            raise CheckpointError(f"a checkpoint could not be written: {_cause(error)}") from error
        if self._error is not None:
            raise CheckpointError(f"a checkpoint could not be completed: {self._error}") from self._error
