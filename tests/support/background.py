"""Threads that run for as long as a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

JOIN_S = 40.0


class Background:
    """Base of what acts beside a test: its threads begin with the block and are asked to stop at its end.

    Args:
        runs: one thread each; it ends soon after ``self._stop`` is set.
    """

    def __init__(self, *runs: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in runs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
