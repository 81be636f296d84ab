"""A dry run's program in a fork of a process that has imported torch, instead of a new one for each of many tests."""

from __future__ import annotations

from pathlib import Path

from app.training.dryrun.held import answer
from tests.support.process_group import fork_server


def run_program(asked: Path, answered: Path, timeout_s: float) -> None:
    """Stands in for :func:`app.training.dryrun.held.run_program`, without the seconds in which a program starts.

    Raises:
        RuntimeError: the fork, which has said why, ended with another code than 0, or not in time.
    """
    process = fork_server().Process(target=answer, args=(asked, answered))
    process.start()
    process.join(timeout_s)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"exit code {process.exitcode}")
