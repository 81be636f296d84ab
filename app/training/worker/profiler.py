"""A profile of some steps, on demand: torch's profiler on the first rank, as a trace for Perfetto."""

from __future__ import annotations

import gzip
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from app.training.config.train_config import parse_steps
from app.training.storage.run_folder import RunFolder

TRACE = "profile/rank0.json.gz"


class Steps(Protocol):
    """Counts steps."""

    def step(self) -> None:
        """A step was made."""


class _Unprofiled:
    def step(self) -> None:
        pass


def profiling(steps: str, begin: int, rank: int, folder: RunFolder) -> AbstractContextManager[Steps]:
    """Context manager around a loop from step ``begin``; writes ``TRACE`` if the loop makes all ``steps``."""
    if not steps or rank != 0:
        return nullcontext(_Unprofiled())
    first, end = parse_steps(steps)
    if first < begin:
        return nullcontext(_Unprofiled())

    def leave(profiler: profile) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            trace = Path(scratch) / "trace.json"
            profiler.export_chrome_trace(str(trace))
            folder.write_bytes(TRACE, gzip.compress(trace.read_bytes()))

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    waited = first - begin
    return profile(
        activities=activities,
        schedule=schedule(wait=max(0, waited - 1), warmup=min(1, waited), active=end - first, repeat=1),
        on_trace_ready=leave,
    )
