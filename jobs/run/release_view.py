"""A release under way as it is shown: each guard's evidence against its bounds, and the story in words. Pure."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobs.release.client import Body
from jobs.release.sentences import entry_line, guards, number, phase_text
from jobs.run.record import Record

BAR = 16
"""Width of a bar, characters."""
TOLD = 6
"""Newest entries of the history that the live view shows."""
_PARTS = " ▏▎▍▌▋▊▉"


def bar(e: float, bound: float, width: int = BAR) -> str:
    """How far evidence has come from 1 (none) to its bound, on a logarithmic scale."""
    share = min(max(math.log(e) / math.log(bound), 0.0), 1.0) if e > 0 else 0.0
    eighths = int(share * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_PARTS[rest] if rest else "")).ljust(width)


def live(record: Record) -> RenderableType:
    """The whole of a release, for a terminal."""
    state = record.state
    head = Text.assemble((f"{title(record)}: ", "bold"), now(state))
    lines: list[RenderableType] = [head]
    if guards(state):
        lines.append(evidence(state))
    lines += [Text(f"  {entry_line(entry)}", style="dim") for entry in state["history"][-TOLD:]]
    return Group(*lines)


def evidence(state: Body) -> Table:
    """Per guard: e-values against the bounds that fail it and that pass it, and what was counted of each arm."""
    table = Table(box=None, pad_edge=False)
    for heading in ("judge", "e for a fail, of its bound", "e for a pass, of its bound", "challenger", "champion"):
        table.add_column(heading, no_wrap=True)
    pass_bound = state["judge"]["pass_bound"]
    for guard in guards(state):
        table.add_row(
            f"{guard['name']} {guard['verdict']}",
            Text.assemble((_bar(guard["fail_e"], guard["bound"]), "red"), f" {_of(guard['fail_e'], guard['bound'])}"),
            Text.assemble((_bar(guard["pass_e"], pass_bound), "green"), f" {_of(guard['pass_e'], pass_bound)}"),
            f"{number(guard['rate_challenger'], '.2%')} of {guard['n_challenger']}",
            f"{number(guard['rate_champion'], '.2%')} of {guard['n_champion']}",
        )
    return table


def title(record: Record) -> str:
    """Which release."""
    return f"release of version {record.version} ({record.name})"


def now(state: Body) -> str:
    """Where it is, and what it waits for."""
    waits = f", waits for {state['waiting_for']}" if state["waiting_for"] else ""
    return f"{phase_text(state)}{waits}"


def plain(state: Body) -> str:
    """Where it is and what the judge says, as one line."""
    return " | ".join([phase_text(state), *(_said(guard, state["judge"]["pass_bound"]) for guard in guards(state))])


def _said(guard: Body, pass_bound: float) -> str:
    return (
        f"{guard['name']} {guard['verdict']}: {number(guard['rate_challenger'], '.2%')} of {guard['n_challenger']} "
        f"against {number(guard['rate_champion'], '.2%')} of {guard['n_champion']}, "
        f"e fail {_of(guard['fail_e'], guard['bound'])}, pass {_of(guard['pass_e'], pass_bound)}"
    )


def _of(e: float | None, bound: float) -> str:
    return f"{number(e, '.2g')} of {bound:g}"


def _bar(e: float | None, bound: float) -> str:
    return bar(0.0 if e is None else e, bound)
