"""The output of all commands: tables, JSON, lines, progress, and the sentence of an error.

A person at a terminal gets colour and a line of progress that is written over; a job's log gets plain lines that fit
``LOG_COLUMNS``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from app import exit_codes

LOG_COLUMNS = 120
"""Width of tables where the output is not a terminal."""
LOG_EVERY_S = 5.0
"""Seconds between two lines of progress in a job's log."""
REFRESHES_PER_S = 8


class _Console(Console):
    """A console that lets :func:`exit_code_of` see a broken pipe; rich ends the process itself, with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Returns a console on stdout or stderr as they are now: as wide as the terminal, else ``LOG_COLUMNS``."""
    found = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = LOG_COLUMNS
    return found


def table(*titles: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """Returns a table without rules.

    Args:
        right: titles of columns that are aligned to the right.
        whole: titles of columns whose cells are never broken into several lines.
    """
    made = Table(box=None, pad_edge=False)
    for title in titles:
        made.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=title in whole,
            overflow="fold",
        )
    return made


def print_table(rows: Table) -> None:
    """Print a table on stdout."""
    console().print(rows)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, indented."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def print_error(text: object) -> None:
    """Print a sentence on stderr; red on a terminal."""
    found = console(stderr=True)
    if found.is_terminal:
        found.print(Text(str(text), style="red"), soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Lines that stay, and what is going on now: below them on a terminal, as a line now and then in a log.

    Args:
        every_s: least seconds between two lines of what is going on, in a log.
    """

    def __init__(self, console: Console, every_s: float = LOG_EVERY_S) -> None:
        self._console, self._every_s = console, every_s
        self._live = Live(console=console, transient=True, refresh_per_second=REFRESHES_PER_S, redirect_stdout=False)
        self._logged = ""
        self._logged_at = float("-inf")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.update("")
            self._live.stop()

    @property
    def is_live(self) -> bool:
        """True where the output is a terminal."""
        return self._console.is_terminal

    def say(self, line: str | Text) -> None:
        """Print a line that stays."""
        self._console.print(Text(line) if isinstance(line, str) else line, soft_wrap=True)

    def show(self, now: str | RenderableType) -> None:
        """Show what is going on now; the same line is not repeated in a log, and a drawing is not shown there."""
        if self._live.is_started:
            self._live.update(Spinner("dots", Text(now)) if isinstance(now, str) else now)
        elif isinstance(now, str) and now != self._logged and time.monotonic() - self._logged_at >= self._every_s:
            self._logged, self._logged_at = now, time.monotonic()
            self.say(now)


def exit_code_of(command: Callable[[], int | None], *, highest: int = 255) -> int:
    """Run a command and return its exit code.

    An error of :mod:`app.errors` becomes its sentence on stderr and its exit code, and one of the libraries in
    ``FAILURES`` becomes 1. Any other one is a defect and passes through with its traceback.

    Args:
        highest: of an error; one with a higher code ends with 1, because the command has a meaning of its own for
            that code.
    """
    try:
        code = command() or exit_codes.DONE
        sys.stdout.flush()
    except BrokenPipeError:
        close_stdout()
        return exit_codes.BROKEN_PIPE
    except KeyboardInterrupt:
        print_error("interrupted")
        return exit_codes.INTERRUPTED
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        print_error(failure.sentence)
        return failure.exit_code if failure.exit_code <= highest else exit_codes.FAILED
    return code


def close_stdout() -> None:
    """Point stdout at nothing, so that Python does not find the broken pipe again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


FAILURES = {
    "app.errors.TidegateError": "{}",
    "redis.exceptions.RedisError": "Redis at TIDEGATE_REDIS_URL does not answer: {}",
    "ray.exceptions.RayError": "{}",
    "mlflow.exceptions.MlflowException": "{}",
    "builtins.OSError": "{}",
}
"""Errors that a command may end with, by name, so that none of their modules is imported here."""


class Failure(NamedTuple):
    """The end of a command by an error that is no defect."""

    sentence: str
    exit_code: int


def failure_of(error: Exception) -> Failure | None:
    """Returns the sentence and the exit code of an error; None for a defect of the program."""
    for kind in type(error).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in FAILURES:
            code = getattr(error, "exit_code", exit_codes.FAILED)
            return Failure(FAILURES[name].format(error), code)
    return None
