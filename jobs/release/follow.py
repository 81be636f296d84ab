"""Follow a release on the screen: its history as lines, and where it is now."""

from __future__ import annotations

import time
from contextlib import nullcontext

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from jobs.release.client import Body, Releases
from jobs.release.stream import RECONNECT_S, followed
from jobs.release.words import Told, end, entry_line, headline, present

PLAIN_EVERY_S = 5.0
"""Seconds between two lines that say where it is, where there is no terminal."""


def follow(releases: Releases, release: str, console: Console, reconnect_s: float = RECONNECT_S) -> Body:
    """Say what happens until the release has ended; its last state.

    Args:
        reconnect_s: time without a word after which following is given up, seconds.

    Raises:
        ReleaseError: it cannot be followed (any more).
        KeyboardInterrupt: the caller wants to follow no longer.
    """
    screen = Screen(console)
    with screen.status or nullcontext():
        state: Body | None = None
        for state in followed(releases, release, screen.lost, reconnect_s):
            screen.show(state)
    if state is None:  # it had ended, and an earlier connection had told so
        state = releases.read(release)
    console.print(end(state), markup=False, highlight=False)
    return state


class Screen:
    """What is shown while a release is followed."""

    def __init__(self, console: Console) -> None:
        self.status: Status | None = console.status("") if console.is_terminal else None
        self._console = console
        self._told = Told()
        self._headline = ""
        self._line = ""
        self._line_at = float("-inf")

    def show(self, state: Body) -> None:
        """A new state."""
        if not self._headline:
            self._headline = headline(state)
            self._say(self._headline)
        for entry in self._told.fresh(state):
            self._say(f"  {entry_line(entry)}")
        if not state["ended"]:
            self._now(present(state))

    def lost(self, why: str) -> None:
        """The connection was lost and is being made again."""
        self._now(f"connecting again: {why}")

    def _now(self, line: str) -> None:
        if self.status is not None:
            self.status.update(escape(line))
        elif line != self._line and time.monotonic() - self._line_at >= PLAIN_EVERY_S:
            self._line, self._line_at = line, time.monotonic()
            self._say(f"    {line}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
