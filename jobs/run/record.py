"""One release of the demo as it was seen: its weights over time, its end, and the time of each part. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from jobs.release.sentences import plain

End = Literal["promoted", "rolled_back"]

_DECIDED = ("restoring", "switching")
_FOLLOWED = ("removing", "settling")


@dataclass(slots=True)
class Record:
    """A release as it was seen.

    Attributes:
        name: what the version is: its configuration, or how it was made.
        version: the challenger; expected: how it should end.
        release: its id, once begun; state: the newest document of it.
        first_weight_at, decided_at, followed_at: when the challenger got its first share, when it was decided that it
            gets everything or nothing, and when every gateway replica was seen to follow that. Seconds since the
            epoch by the controller's clock; None: not seen.
        answered, failed_attempts, failed: requests that the challenger answered during its release, that another
            version answered in its place, and that had no answer.
    """

    name: str
    version: str
    expected: End
    release: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    first_weight_at: float | None = None
    decided_at: float | None = None
    followed_at: float | None = None
    answered: int = 0
    failed_attempts: int = 0
    failed: int = 0

    def see(self, state: dict[str, Any]) -> None:
        """Take a newer state of the release, as ``GET /releases/{id}`` gives it."""
        self.state, self.release = state, state["id"]
        phase, since = state["state"], instant(state["since"])
        if phase == "step" and self.first_weight_at is None:
            self.first_weight_at = since
        if phase in _DECIDED and self.decided_at is None:
            self.decided_at = since
        if phase in _FOLLOWED and self.followed_at is None:
            self.followed_at = since

    @property
    def end(self) -> str:
        """The end: promoted, rolled_back or cancelled; empty while it runs."""
        return str(self.state["state"]) if self.state and self.state["ended"] else ""

    @property
    def by_the_judge(self) -> bool:
        """True where the judge failed it by its own verdict, not a deadline, an order or a failed deployment."""
        return ((self.state or {}).get("judge") or {}).get("verdict") == "fail"

    @property
    def seconds_to_decision(self) -> float | None:
        """From the first weight to the decision; None where there was no step."""
        return _between(self.first_weight_at, self.decided_at)

    @property
    def seconds_to_followed(self) -> float | None:
        """From the decision until every gateway replica was seen to follow it."""
        return _between(self.decided_at, self.followed_at)

    def broken(self) -> list[str]:
        """Returns the promises that were not kept."""
        found = []
        if self.end != self.expected:
            how = plain(self.end) or f"still {self.state.get('state', 'not begun')}"
            found.append(
                f"version {self.version} ({self.name}) should be {plain(self.expected)}, it is {how}: "
                f"{self.state.get('reason') or 'no reason given'}"
            )
        elif self.expected == "rolled_back" and not self.by_the_judge:
            found.append(
                f"version {self.version} ({self.name}) was not rolled back by the judge: {self.state['reason']}"
            )
        if self.failed:
            found.append(f"{self.failed} requests failed while version {self.version} ({self.name}) was released")
        return found


def instant(text: str) -> float:
    """Returns the seconds since the epoch of an instant by ISO 8601."""
    return datetime.fromisoformat(text).timestamp()


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
