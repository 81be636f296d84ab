"""A release followed on the screen: its history as lines that stay, and where it is now."""

from __future__ import annotations

from rich.console import Console

from app.terminal import Progress
from jobs.release.client import Body, Releases
from jobs.release.sentences import HistoryCursor, end, entry_line, headline, present
from jobs.release.states import RECONNECT_S, release_states


def follow(releases: Releases, release: str, console: Console, reconnect_s: float = RECONNECT_S) -> Body:
    """Print what happens until the release has ended, and return its last state.

    Args:
        reconnect_s: time without a sign of life after which following is given up, seconds.

    Raises:
        ReleaseError: it cannot be followed (any more).
        KeyboardInterrupt: the caller wants to follow no longer.
    """
    history = HistoryCursor()
    state: Body | None = None
    with Progress(console) as progress:
        for new in release_states(
            releases, release, lambda why: progress.show(f"    connecting again: {why}"), reconnect_s
        ):
            if state is None:
                progress.say(headline(new))
            state = new
            for entry in history.advance(state):
                progress.say(f"  {entry_line(entry)}")
            if not state["ended"]:
                progress.show("\n".join(f"    {line}" for line in present(state)))
        if state is None:  # it had ended, which an earlier connection has said
            state = releases.read(release)
        progress.say(end(state))
    return state
