"""A release in sentences, for people who follow it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app import exit_codes
from jobs.release.client import Body

EXIT_CODES = {
    "promoted": exit_codes.DONE,
    "rolled_back": exit_codes.ROLLED_BACK,
    "cancelled": exit_codes.CANCELLED,
}
"""State of an end -> exit code."""


def headline(state: Body) -> str:
    """Returns the line that names the release, its versions and its strategy."""
    against = f"against version {state['champion']}" if state["champion"] else "without a champion"
    return (
        f"release {state['id']}: version {state['challenger']} of {state['model']} {against}, "
        f"{state['strategy'].replace('_', '-')}"
    )


def end(state: Body) -> str:
    """Returns the end of a release and its reason."""
    ended = plain(state["state"])
    return f"{ended}: {state['reason']}" if state["reason"] else ended


def present(state: Body) -> list[str]:
    """Returns a line with phase and weights, one with what is waited for, and one for each guard of the judge."""
    parts = [phase_text(state)]
    if state["weights"]:
        parts.append(" ".join(f"v{version} {weight:.0%}" for version, weight in sorted(state["weights"].items())))
    if state["paused"]:
        parts.append("paused")
    lines = [" | ".join(parts)]
    if waits := waiting_text(state):
        lines.append(waits)
    return [*lines, *map(guard_text, guards(state))]


def waiting_text(state: Body) -> str:
    """Returns what a release waits for, and why that is not there yet; empty where it waits for nothing."""
    if not state.get("waiting_for"):
        return ""
    why = state.get("waiting_because")  # older controllers do not say
    return f"waits for {state['waiting_for']}" + (f" ({why})" if why else "")


def phase_text(state: Body) -> str:
    """Returns the step, or the state where it is at none."""
    return f"step {state['step'] + 1} of {state['steps']}" if state["step"] is not None else plain(state["state"])


def guards(state: Body) -> Sequence[Body]:
    """Returns the judge's report of each guard; empty before the first one."""
    found: Sequence[Body] = (state["judge"] or {}).get("guards", ())
    return found


def guard_text(guard: Body) -> str:
    """Returns a guard's verdict, how near its evidence is to the bound that fails it, and what was counted."""
    return (
        f"{guard['name']} {guard['verdict']}, e {number(guard['fail_e'], '.2g')} of {number(guard['bound'], 'g')} "
        f"(challenger {number(guard['rate_challenger'], '.2%')} of {guard['n_challenger']}, "
        f"champion {number(guard['rate_champion'], '.2%')} of {guard['n_champion']})"
    )


def number(value: float | None, form: str) -> str:
    """Returns a number as text; null stands for one that JSON cannot write."""
    return "-" if value is None else format(value, form)


class HistoryCursor:
    """A position in the history of a release: the last entry that was printed."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] | None = None

    def advance(self, state: Body) -> Iterator[Body]:
        """Yield the entries after the last one that was yielded; all of them where that one is gone."""
        entries = state["history"]
        keys = [(entry["at"], entry["who"], entry["what"]) for entry in entries]
        begin = keys.index(self._last) + 1 if self._last in keys else 0
        if keys:
            self._last = keys[-1]
        yield from entries[begin:]


def entry_line(entry: Body) -> str:
    """Returns a line for an entry of the history; the time as HH:MM:SS in UTC."""
    who = "" if entry["who"] == "controller" else f"  ({entry['who']})"
    return f"{entry['at'][11:19]}  {entry['what']}{who}"


def plain(state: str) -> str:
    """Returns the name of a state without underscores."""
    return state.replace("_", " ")


def no_longer_followed(release: str) -> str:
    """Returns what a user reads who has interrupted the following; ``release`` is empty before it is known."""
    if not release:
        return "interrupted; tidegate release list shows what was begun"
    return f"no longer followed; release {release} goes on: tidegate release show {release} --follow"
