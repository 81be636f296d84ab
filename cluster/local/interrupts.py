"""Ctrl-C that no library's finalizer can lose."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """Remembers that SIGINT came: a ``KeyboardInterrupt`` raised inside a ``__del__``, such as that of redis-py's
    connection pool, is printed and dropped by Python. A context manager, which does nothing in a thread that gets
    no signals, and where another handler is set: in the background of a script, SIGINT is ignored.
    """

    def __init__(self) -> None:
        self._came = False
        self._set = False

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._remember)
            self._set = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._set:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise what may have been dropped.

        Raises:
            KeyboardInterrupt: SIGINT has come.
        """
        if self._came:
            raise KeyboardInterrupt

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)
