"""A group of gloo processes that run one function and end, whatever happens to one of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, start_processes

from app.errors import TidegateError

T = TypeVar("T")
PRELOADED = (
    "app.recipes.bytelm",
    "app.training.worker.checkpoint",
    "app.training.parallel.distributed_model",
    "tests.training.layouts.run",
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
    fork_server()
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory() as folder:
        group = start_processes(  # type: ignore[no-untyped-call]
            _work, (work, workers, Path(folder)), workers, join=False, daemon=True, start_method="forkserver"
        )
        try:
            while not group.join(max(0.0, deadline - time.monotonic())):
                if time.monotonic() > deadline:
                    raise GroupError(f"the group of {workers} did not end within {timeout_s:.0f} s")
        except ProcessException as error:
            raise GroupError(f"rank {error.error_index}: {error}") from None
        finally:
            for process in group.processes:
                process.kill()
                process.join()
        return [pickle.loads((Path(folder) / str(rank)).read_bytes()) for rank in range(workers)]


def fork_server() -> ForkServerContext:
    """Processes that start with what trains imported; a plain fork of this one would copy its threads' locks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *PRELOADED])
    return context


def _work(rank: int, work: Callable[[], Any], workers: int, folder: Path) -> None:
    torch.set_num_threads(1)
    # Advice on speed, repeated by every rank of every layout.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=workers)
    (folder / str(rank)).write_bytes(pickle.dumps(work()))
    dist.barrier()  # no rank leaves while another still needs it as a peer
    dist.destroy_process_group()
