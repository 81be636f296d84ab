"""The board as a person reads it: what is wrong first, what is well in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.kube.board import Board, short_time
from cluster.kube.health.verdict import one_line

STYLES = {"ready": "green", "progressing": "yellow", "failed": "red", "unknown": "magenta"}
WARNINGS_SHOWN = 8
Cell = str | Text


def view(board: Board, source: str) -> RenderableType:
    """The whole board; ``source`` says where it was read."""
    return Group(*_parts(board, source))


def headline(board: Board) -> str:
    """In one line how it is: the states, the worst first, and what the worst is."""
    counts = {state: sum(row.state == state for row in board.objects) for state in STYLES}
    counts["ready"] += sum(board.there.values())
    told = [f"{counts[state]} {state}" for state in ("failed", "unknown", "progressing", "ready") if counts[state]]
    if not told:
        return "nothing of the platform is here"
    return ", ".join(told)


def lines(board: Board) -> list[str]:
    """What a line-by-line log of changes compares: one line for each object, group, application and pod."""
    found = [f"not seen {each}" for each in board.unseen]
    found += [f"{row.kind} {row.name}: {row.state}{_why(row.why)}" for row in board.objects]
    found += [
        f"group {group.cluster}/{group.name}: {group.ready} of {group.wanted} ready{_why(group.note)}"
        for group in board.groups
    ]
    for each in board.applications:
        deployed = ", ".join(each.deployments)
        found.append(f"application {each.cluster}/{each.name}: {each.state}{_why(each.message or deployed)}")
    found += [f"Pod {row.name}: {row.state}{_why(row.why)}" for row in board.pods]
    found += [f"warning {row.about}: {row.reason}: {one_line(row.text)}" for row in board.warnings]
    return found


def _parts(board: Board, source: str) -> Iterator[RenderableType]:
    state = "[green]ready[/]" if board.ready else "[red]not ready[/]"
    yield Text.from_markup(
        f"{state}  {escape(headline(board))}  (namespace {escape(board.namespace)}, {escape(source)})"
    )
    for each in board.unseen:
        yield Text.from_markup(f"[magenta]not seen[/]  {escape(each)}")
    if board.objects:
        yield from _table(
            ("object", "state", "why"),
            ((f"{row.kind} {row.name}", _state(row.state), row.why) for row in board.objects),
        )
    if board.there:
        yield Text(f"there: {', '.join(f'{count} {kind}' for kind, count in board.there.items())}", style="dim")
    if board.groups:
        many = len({group.cluster for group in board.groups}) > 1
        yield from _table(
            ("Ray group", "min", "wanted", "ready", "max", "asked by", "note"),
            (
                (
                    f"{group.cluster}/{group.name}" if many else group.name,
                    str(group.least),
                    str(group.wanted),
                    _count(group.ready, group.wanted),
                    "" if group.most is None else str(group.most),
                    group.asked_by,
                    group.note,
                )
                for group in board.groups
            ),
        )
    if board.applications:
        many = len({each.cluster for each in board.applications}) > 1
        yield from _table(
            ("Serve application", "state", "deployments", "message"),
            (
                (
                    f"{each.cluster}/{each.name}" if many else each.name,
                    _serve_state(each.state),
                    ", ".join(each.deployments),
                    "" if each.state == "RUNNING" else each.message,
                )
                for each in board.applications
            ),
        )
    if board.pods:
        yield from _table(
            ("pod not ready", "state", "age", "why"),
            ((row.name, _state(row.state), _age(row.age_s), row.why) for row in board.pods),
        )
    if board.warnings:
        shown = board.warnings[:WARNINGS_SHOWN]
        yield from _table(
            ("warning about", "reason", "times", "last", "text"),
            ((row.about, row.reason, str(row.count), f"{_age(row.age_s)} ago", one_line(row.text)) for row in shown),
        )
        if more := len(board.warnings) - len(shown):
            yield Text(f"and {more} older", style="dim")


def _table(titles: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> Iterator[RenderableType]:
    folding = ("why", "text", "message", "deployments")
    table = Table(box=None, pad_edge=False)
    for title in titles:
        numbers = title in ("min", "wanted", "ready", "max", "times")
        table.add_column(title, overflow="fold", no_wrap=title not in folding, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    yield Text("")
    yield table


def _state(state: str) -> Text:
    return Text(state, style=STYLES[state])


def _serve_state(state: str) -> Text:
    return Text(state, style={"RUNNING": "green", "DEPLOY_FAILED": "red", "UNHEALTHY": "red"}.get(state, "yellow"))


def _count(ready: int, wanted: int) -> Text:
    return Text(str(ready), style="green" if ready >= wanted else "yellow" if ready else "red")


def _age(seconds: float | None) -> str:
    return "" if seconds is None else short_time(seconds)


def _why(text: str) -> str:
    return f": {text}" if text else ""
