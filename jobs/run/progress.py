"""The steps of the main job as they happen: on a terminal a live view, elsewhere plain lines."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from jobs.run.tally import Tally

PLAIN_EVERY_S = 5.0
DRAW_EVERY_S = 0.4


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
        self._steps: list[Step] = []
        self._tally: Tally | None = None
        self._names: dict[str, str] = {}
        self._plain_at = 0.0
        # Drawn from the event loop, never from a thread of rich's: what is drawn changes on the loop.
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

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
                self._live.update(self._render(), refresh=True)

    async def _draw(self, live: Live) -> None:
        while True:
            live.update(self._render(), refresh=True)
            await asyncio.sleep(DRAW_EVERY_S)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step for the block's duration; its title and seconds stay on the screen."""
        step = Step(title)
        self._steps.append(step)
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
            if not self._live:
                sign = "✓" if step.state == "done" else "✗"
                self._console.print(
                    f"{sign} {title}  {step.seconds:.1f} s  {step.detail}", highlight=False, markup=False
                )

    def say(self, step: Step, line: str) -> None:
        """The newest line of a step."""
        step.detail = line
        if not self._live:
            self._console.print(f"    {line}", highlight=False, markup=False)

    def watch(self, tally: Tally, names: dict[str, str]) -> None:
        """Show the traffic from now on; ``names``: version -> what it is."""
        self._tally, self._names = tally, names

    def traffic_moved(self) -> None:
        """Called now and then while traffic runs; prints a line each few seconds where there is no live view."""
        if self._live or self._tally is None or time.monotonic() - self._plain_at < PLAIN_EVERY_S:
            return
        self._plain_at = time.monotonic()
        phase = self._tally.phases[-1]
        shown = []
        for version, found in self._tally.versions.items():
            shown.append(
                f"v{version} set {phase.weights.get(version, 0):.0%} observed {phase.share(version).share:.1%} "
                f"requests {found.requests} p50 {found.latency_ms(0.5):.0f} ms AUC {found.quality().auc:.3f}"
            )
        self._console.print(f"    {' | '.join(shown)} | failed {len(self._tally.failures)}", highlight=False)

    def _render(self) -> RenderableType:
        lines: list[RenderableType] = [_step_line(step) for step in self._steps]
        if self._tally and self._tally.phases:
            lines += [Text(), traffic_table(self._tally, self._names)]
        return Group(*lines)


def traffic_table(tally: Tally, names: dict[str, str]) -> Table:
    """Per version: weight set, share observed, requests, latency and quality so far."""
    table = Table(box=None, pad_edge=False)
    for title in (
        "version",
        "weight set",
        "share of keys (95 %)",
        "requests",
        "failed",
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
        f"{tally.requests} requests, {len(tally.failures)} failed, "
        f"{tally.moved_back} keys moved back, {tally.fell_over} fell over to another version"
    )
    table.caption_justify = "left"
    return table


def _step_line(step: Step) -> RenderableType:
    if step.state == "running":
        seconds = time.monotonic() - step.started
        return Spinner("dots", Text(f"{step.title}  {seconds:.0f} s  {step.detail[:100]}"), style="cyan")
    sign, style = ("✓", "green") if step.state == "done" else ("✗", "red")
    return Text.assemble((sign, style), f" {step.title}  {step.seconds:.1f} s  ", (step.detail[:100], "dim"))


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
