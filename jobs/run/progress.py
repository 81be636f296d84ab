"""The steps of the main job as they happen: on a terminal a live view, elsewhere plain lines."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from jobs.release.sentences import HistoryCursor, entry_line
from jobs.run.record import Record
from jobs.run.release_view import live, plain
from jobs.run.tally import Tally
from jobs.run.timeline import Timeline

PLAIN_EVERY_S = 5.0
DRAW_EVERY_S = 0.5
WIDTH = 48
"""Of the weights over time, characters."""


@dataclass(slots=True)
class Step:
    """One step: what it does, how it stands, and the newest line it printed."""

    title: str
    state: Literal["running", "done", "failed"] = "running"
    detail: str = ""
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


class Progress:
    """Says what happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[Step] = []
        self._tally: Tally | None = None
        self._timeline = Timeline()
        self._names: Mapping[str, str] = {}
        self._record: Record | None = None
        self._told = HistoryCursor()
        self._plain_at = 0.0
        # Drawn from the event loop, never from a thread of rich's: what is drawn changes on the loop.
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Draw the view for the block's duration."""
        if self._live is None:
            yield
            return
        with self._live:
            drawing = asyncio.create_task(self._draw(self._live))
            try:
                yield
            finally:
                drawing.cancel()
                with suppress(asyncio.CancelledError):
                    await drawing

    async def _draw(self, live: Live) -> None:
        while True:
            live.update(self._render(), refresh=True)
            await asyncio.sleep(DRAW_EVERY_S)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step for the block's duration; its title and seconds stay on the screen."""
        step = Step(title)
        self._running.append(step)
        if not self._live:
            self._console.print(f"… {title}", highlight=False, markup=False)
        try:
            yield step
        except BaseException:
            step.state = "failed"
            raise
        else:
            step.state = "done"
        finally:
            step.seconds = time.monotonic() - step.started
            self._running.remove(step)
            self._console.print(_ended_line(step), highlight=False)  # above the live view, where there is one

    def say(self, step: Step, line: str) -> None:
        """The newest line of a step."""
        step.detail = line
        if not self._live:
            self._console.print(f"    {line}", highlight=False, markup=False)

    def watch(self, tally: Tally, timeline: Timeline, names: Mapping[str, str]) -> None:
        """Show the traffic from now on; ``names``: version -> what it is, and may grow."""
        self._tally, self._timeline, self._names = tally, timeline, names

    def release(self, record: Record) -> None:
        """A release has a newer state. Where there is no live view, what happened to it is told at once."""
        if self._record is not record:
            self._record, self._told = record, HistoryCursor()
        if not self._live:
            for entry in self._told.advance(record.state):
                self._console.print(f"    {entry_line(entry)}", highlight=False, markup=False)
        if record.end:
            self._record = None
        self.traffic_moved()

    def traffic_moved(self) -> None:
        """Called now and then; where there is no live view, lines each few seconds say how it stands."""
        if self._live or time.monotonic() - self._plain_at < PLAIN_EVERY_S:
            return
        self._plain_at = time.monotonic()
        if self._record is not None:
            self._console.print(f"    {plain(self._record.state)}", highlight=False, markup=False)
        if self._tally is not None and self._tally.phases:
            self._console.print(f"    {traffic_line(self._tally, self._names)}", highlight=False, markup=False)

    def _render(self) -> RenderableType:
        lines: list[RenderableType] = [_running_line(step) for step in self._running]
        if self._record is not None and self._record.state:
            lines += [Text(), live(self._record)]
        if self._tally and self._tally.phases:
            lines += [
                Text(),
                weights_table(self._timeline, self._names, time.time()),
                Text(),
                traffic_table(self._tally, self._names),
            ]
        return Group(*lines)


def traffic_line(tally: Tally, names: Mapping[str, str]) -> str:
    """The traffic in one line: versions that have weight or have just answered, and how many requests failed."""
    phase = tally.phases[-1]
    shown = []
    for version, found in tally.versions.items():
        weight = phase.weights.get(version, 0.0)
        if weight:
            shown.append(
                f"v{version} {names.get(version, '')} set {weight:.0%} observed {phase.share(version).share:.1%} "
                f"requests {found.requests} p50 {found.latency_ms(0.5):.0f} ms AUC {found.quality().auc:.3f}"
            )
    return f"{' | '.join(shown)} | fell over {tally.fell_over}, failed {len(tally.failures)}"


def weights_table(timeline: Timeline, names: Mapping[str, str], now: float, width: int = WIDTH) -> Table:
    """Per version: its weight from the beginning of the traffic until now, and now."""
    table = Table(box=None, pad_edge=False)
    seconds = now - timeline.changes[0][0] if timeline.changes else 0.0
    for heading in ("version", f"weight over the last {seconds:.0f} s", "now"):
        table.add_column(heading, no_wrap=True)
    for version, name in names.items():
        weight = timeline.at(now).get(version, 0.0)
        table.add_row(f"{version} {name}", timeline.line(version, now, width), f"{weight:.0%}")
    return table


def traffic_table(tally: Tally, names: Mapping[str, str]) -> Table:
    """Per version: weight set, share observed, requests, latency and quality so far."""
    table = Table(box=None, pad_edge=False)
    for title in (
        "version",
        "weight set",
        "share of keys (95 %)",
        "requests",
        "not answered",
        "p50 ms",
        "p99 ms",
        "AUC",
        "Brier",
    ):
        table.add_column(title, justify="left" if title == "version" else "right")
    phase = tally.phases[-1]
    for version, found in tally.versions.items():
        share, quality = phase.share(version), found.quality()
        table.add_row(
            f"{version} {names.get(version, '')}",
            f"{phase.weights.get(version, 0):.0%}",
            f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})" if phase.keys else "",
            str(found.requests),
            str(found.failed_attempts),
            _number(found.latency_ms(0.5), ".1f"),
            _number(found.latency_ms(0.99), ".1f"),
            _number(quality.auc, ".3f"),
            _number(quality.brier, ".3f"),
        )
    table.caption = (
        f"{tally.requests} requests, {len(tally.failures)} failed, {tally.fell_over} fell over to another version"
    )
    table.caption_justify = "left"
    return table


def _running_line(step: Step) -> RenderableType:
    seconds = time.monotonic() - step.started
    return Spinner("dots", Text(f"{step.title}  {seconds:.0f} s  {step.detail[:100]}"), style="cyan")


def _ended_line(step: Step) -> Text:
    sign, style = ("✓", "green") if step.state == "done" else ("✗", "red")
    return Text.assemble((sign, style), f" {step.title}  {step.seconds:.1f} s  ", (step.detail, "dim"))


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
