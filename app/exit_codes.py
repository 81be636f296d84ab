"""Exit codes of every command, in one table.

A code above 2 has one meaning for jobs, which return it, and another one for the Kubernetes verbs, which end with it
by an error (``app.errors``); ``tidegate exit-codes`` prints both.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

DONE = 0
FAILED = 1
NOT_UNDERSTOOD = 2

ROLLED_BACK = 3
CANCELLED = 4
GATE_CLOSED = 5

TIMED_OUT = 3
UNREACHABLE = 4
FORBIDDEN = 5
MISSING_KIND = 6
CONFLICT = 7
DIFF_FAILED = 8

STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: not done, try again."""
INTERRUPTED = 130
"""128 + SIGINT."""
BROKEN_PIPE = 141
"""128 + SIGPIPE."""


class ExitCode(NamedTuple):
    """One row of the table.

    Attributes:
        commands: those that end with it; ``kube`` stands for every verb of ``tidegate kube``.
    """

    code: int
    commands: Literal["all", "release, deliver", "deliver", "train, deliver, materialize", "kube", "kube diff"]
    meaning: str


EXIT_CODES = (
    ExitCode(DONE, "all", "done; of a release that is followed: promoted; of a benchmark: every bound holds"),
    ExitCode(FAILED, "all", "failed, or refused by what was asked; kube diff: there are differences"),
    ExitCode(NOT_UNDERSTOOD, "all", "an option, a setting, a configuration or a plan is refused; nothing was done"),
    ExitCode(ROLLED_BACK, "release, deliver", "the release was rolled back"),
    ExitCode(CANCELLED, "release, deliver", "the release was cancelled"),
    ExitCode(GATE_CLOSED, "deliver", "an offline gate does not hold; no release was begun"),
    ExitCode(STOPPED, "train, deliver, materialize", "stopped before the end; the same command goes on there"),
    ExitCode(TIMED_OUT, "kube", "what was awaited did not happen in time"),
    ExitCode(UNREACHABLE, "kube", "no API server answers, or it does not accept the credentials"),
    ExitCode(FORBIDDEN, "kube", "the API server forbids it: rights, a quota, a namespace that is going"),
    ExitCode(MISSING_KIND, "kube", "the API server lacks a kind of object: a CRD is not installed"),
    ExitCode(CONFLICT, "kube", "another manager owns a field, or the object has changed meanwhile"),
    ExitCode(DIFF_FAILED, "kube diff", "failed, because 1 means that there are differences"),
    ExitCode(INTERRUPTED, "all", "interrupted by Ctrl-C; of a release: no longer followed, it goes on"),
    ExitCode(BROKEN_PIPE, "all", "the reader of the output has closed the pipe"),
)
