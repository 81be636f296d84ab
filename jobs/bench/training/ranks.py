"""One function in several gloo processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

T = TypeVar("T")


def in_ranks(count: int, work: partial[T]) -> list[T]:
    """Call ``work``, a partial of a function that pickles, in ``count`` processes.

    Returns:
        What each rank returned, by rank.

    Raises:
        ProcessException: a process failed; the others are killed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # Imported once, in the server, and not by each process.
    multiprocessing.get_context("forkserver").set_forkserver_preload([work.func.__module__])
    with tempfile.TemporaryDirectory() as folder:
        arguments = (work, count, Path(folder))
        start_processes(_rank, arguments, count, start_method="forkserver")  # type: ignore[no-untyped-call]
        return [pickle.loads((Path(folder) / str(rank)).read_bytes()) for rank in range(count)]  # noqa: S301


def _rank(rank: int, work: partial[Any], count: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=count)
    (folder / str(rank)).write_bytes(pickle.dumps(work()))
    dist.barrier()  # no rank leaves while another still needs it as a peer
    dist.destroy_process_group()
