"""A group of gloo processes that run one function and end, whatever happens to one of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from app.errors import TidegateError

T = TypeVar("T")
PRELOADED = (
    "app.recipes.bytelm",
    "app.training.worker.checkpoint",
    "app.training.parallel.distributed_model",
    "jobs.bench.layouts.run",
)
"""By name: imported once, in the server, and not by this process or by each of its children."""


class GroupError(TidegateError):
    """A process of the group failed or did not end in time; the message says which and how."""


def in_processes(workers: int, work: Callable[[], T], timeout_s: float = 300) -> list[T]:
    """Call ``work`` in ``workers`` processes that share a default process group.

    Args:
        work: something that pickles, such as a partial of a function.

    Returns:
        What each rank returned, by rank.

    Raises:
        GroupError: a process raised, died, or did not end in time; the others are killed.
    """
    context = fork_server()
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(workers)]
        processes = [
            context.Process(
                target=_work, args=(work, rank, workers, Path(folder) / "store", pipes[rank][1]), daemon=True
            )
            for rank in range(workers)
        ]
        try:
            for process in processes:
                process.start()
            for _, sender in pipes:
                sender.close()
            return _collect([receiver for receiver, _ in pipes], timeout_s)
        finally:
            for process in processes:
                process.kill()
                process.join()


def fork_server() -> ForkServerContext:
    """Processes that start with what trains imported; a plain fork of this one would copy its threads' locks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *PRELOADED])
    return context


def _collect(receivers: list[Connection], timeout_s: float) -> list[Any]:
    results: dict[int, Any] = {}
    deadline = time.monotonic() + timeout_s
    open_ranks = dict(enumerate(receivers))
    while open_ranks:
        ready = wait(list(open_ranks.values()), timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            raise GroupError(f"ranks {sorted(open_ranks)} did not end within {timeout_s:.0f} s")
        for rank, receiver in list(open_ranks.items()):
            if receiver not in ready:
                continue
            try:
                found = receiver.recv()
            except EOFError:
                raise GroupError(f"rank {rank} died") from None
            if isinstance(found, _Raised):
                raise GroupError(f"rank {rank}: {found.traceback}")
            results[rank] = found
            del open_ranks[rank]
    return [results[rank] for rank in range(len(receivers))]


@dataclass(frozen=True, slots=True)
class _Raised:
    traceback: str


def _work(work: Callable[[], Any], rank: int, workers: int, store: Path, result: Connection) -> None:
    torch.set_num_threads(1)
    # Advice on speed, repeated by every rank of every layout.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    try:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers)
        result.send(work())
        # No rank leaves while another still needs it as a peer.
        dist.barrier()
        dist.destroy_process_group()
    except Exception:
        result.send(_Raised(traceback.format_exc()))
