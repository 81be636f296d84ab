"""A release in words, and the exit code of its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.release.client import Body

DONE, FAILED, NOT_UNDERSTOOD, ROLLED_BACK, CANCELLED = 0, 1, 2, 3, 4
ENDS = {"promoted": DONE, "rolled_back": ROLLED_BACK, "cancelled": CANCELLED}
"""State of an end -> exit code."""


def headline(state: Body) -> str:
    """Which release."""
    against = f"against version {state['champion']}" if state["champion"] else "without a champion"
    return (
        f"release {state['id']}: version {state['challenger']} of {state['model']} {against}, "
        f"{state['strategy'].replace('_', '-')}"
    )


def end(state: Body) -> str:
    """How it ended."""
    said = state["state"].replace("_", " ")
    return f"{said}: {state['reason']}" if state["reason"] else said


def present(state: Body) -> str:
    """Where it is, who has which weight, what it waits for, and what the judge says; one line."""
    parts = [place(state)]
    if state["weights"]:
        parts.append(" ".join(f"v{version} {weight:.0%}" for version, weight in sorted(state["weights"].items())))
    if state["paused"]:
        parts.append("paused")
    parts += [judged(guard) for guard in guards(state)]
    if state["waiting_for"]:
        why = state.get("waiting_because")  # older controllers do not say
        parts.append(f"waits for {state['waiting_for']}" + (f" ({why})" if why else ""))
    return " | ".join(parts)


def place(state: Body) -> str:
    """State and step."""
    return f"step {state['step'] + 1} of {state['steps']}" if state["step"] is not None else _plain(state["state"])


def guards(state: Body) -> Sequence[Body]:
    """What the judge says of each guard; empty before its first word."""
    found: Sequence[Body] = (state["judge"] or {}).get("guards", ())
    return found


def judged(guard: Body) -> str:
    """One guard: verdict, how near its evidence is to the bound that fails it, and what was counted."""
    return (
        f"{guard['name']} {guard['verdict']}, e {number(guard['fail_e'], '.2g')} of {number(guard['bound'], 'g')} "
        f"(challenger {number(guard['rate_challenger'], '.2%')} of {guard['n_challenger']}, "
        f"champion {number(guard['rate_champion'], '.2%')} of {guard['n_champion']})"
    )


def number(value: float | None, form: str) -> str:
    """A number; null stands for one that JSON cannot say."""
    return "-" if value is None else format(value, form)


class Told:
    """Which entries of the history have been told already."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] | None = None

    def fresh(self, state: Body) -> Iterator[Body]:
        """The entries after the last one that was told; all of them where that one is gone."""
        entries = state["history"]
        keys = [(entry["at"], entry["who"], entry["what"]) for entry in entries]
        begin = keys.index(self._last) + 1 if self._last in keys else 0
        if keys:
            self._last = keys[-1]
        yield from entries[begin:]


def entry_line(entry: Body) -> str:
    """An entry of the history; the time as HH:MM:SS in UTC."""
    who = "" if entry["who"] == "controller" else f"  ({entry['who']})"
    return f"{entry['at'][11:19]}  {entry['what']}{who}"


def _plain(state: str) -> str:
    return state.replace("_", " ")
