"""A group of gloo processes that run one layout and end, whatever happens to one of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import time
import traceback
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch
import torch.distributed as dist

from app.training.layout import Layout
from jobs.bench.layouts.curve import Curve
from jobs.bench.layouts.run import Run, spread_run


class GroupError(RuntimeError):
    """A process of the group failed or did not end in time; the message says which and how."""


def measure(run: Run, layout: Layout, timeout_s: float = 300) -> Curve:
    """Run ``layout`` in as many processes as it needs.

    Returns:
        The curve that the first rank saw; all ranks are checked to have seen the same.

    Raises:
        GroupError: a process raised, died, or did not end in time; the others are killed.
    """
    context = fork_server()
    workers = layout.degrees.workers
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(workers)]
        processes = [
            context.Process(
                target=_work, args=(run, layout, rank, Path(folder) / "store", pipes[rank][1]), daemon=True
            )
            for rank in range(workers)
        ]
        try:
            for process in processes:
                process.start()
            for _, sender in pipes:
                sender.close()
            curves = _collect([receiver for receiver, _ in pipes], timeout_s)
        finally:
            for process in processes:
                process.kill()
                process.join()
    if any(curve != curves[0] for curve in curves):
        raise GroupError("the ranks report different losses or norms")
    return curves[0]


def fork_server() -> ForkServerContext:
    """Processes that start with torch imported; a plain fork of this one would copy its threads' locks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _collect(receivers: list[Connection], timeout_s: float) -> list[Curve]:
    curves: dict[int, Curve] = {}
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
            if isinstance(found, str):
                raise GroupError(f"rank {rank}: {found}")
            curves[rank] = found
            del open_ranks[rank]
    return [curves[rank] for rank in range(len(receivers))]


def _work(run: Run, layout: Layout, rank: int, store: Path, result: Connection) -> None:
    torch.set_num_threads(1)
    # Advice on speed, repeated by every rank of every layout.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    try:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=layout.degrees.workers)
        result.send(spread_run(run, layout))
        # No rank leaves while another still needs it as a peer.
        dist.barrier()
        dist.destroy_process_group()
    except Exception:
        result.send(traceback.format_exc())
