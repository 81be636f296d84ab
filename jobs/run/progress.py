"""The steps of the demo as they happen: on a terminal a view of it all, in a log lines."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text

from app.terminal import LOG_COLUMNS, Progress
from jobs.release.sentences import HistoryCursor, entry_line, present
from jobs.run.record import Record
from jobs.run.tally import Tally
from jobs.run.view import Timeline, release_view, traffic_lines, traffic_table, weights_table

DRAW_EVERY_S = 0.5


@dataclass(slots=True)
class Step:
    """One step: what it does, and the newest line it printed."""

    title: str
    detail: str = ""
    started: float = field(default_factory=time.monotonic)


class DemoProgress:
    """The running steps, the release under way and the traffic, on one :class:`app.terminal.Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._running: list[Step] = []
        self._tally: Tally | None = None
        self._timeline = Timeline()
        self._names: Mapping[str, str] = {}
        self._record: Record | None = None
        self._history = HistoryCursor()

    @asynccontextmanager
    async def drawn(self) -> AsyncIterator[None]:
        """Draw for the block's duration; on the event loop, because what is drawn changes there."""
        with self._progress:
            drawing = asyncio.create_task(self._draw_until_cancelled())
            try:
                yield
            finally:
                drawing.cancel()
                with suppress(asyncio.CancelledError):
                    await drawing

    async def _draw_until_cancelled(self) -> None:
        while True:
            self.draw()
            await asyncio.sleep(DRAW_EVERY_S)

    def draw(self) -> None:
        """Show how it stands; in a log now and then, where there is traffic."""
        traffic = self._tally if self._tally and self._tally.phases else None
        release = self._record if self._record and self._record.state else None
        if not self._progress.is_live:
            lines = [
                *(present(release.state) if release else ()),
                *(traffic_lines(traffic, self._names) if traffic else ()),
            ]
            if lines:
                self._progress.show("\n".join(f"    {line}" for line in lines))
            return
        parts: list[RenderableType] = [_running_line(step) for step in self._running]
        if release:
            parts += [Text(), release_view(release)]
        if traffic:
            parts += [Text(), weights_table(self._timeline, self._names, time.time())]
            parts += [Text(), traffic_table(traffic, self._names)]
        self._progress.show(Group(*parts))

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step for the block's duration; its title and seconds stay on the screen."""
        step = Step(title)
        self._running.append(step)
        if not self._progress.is_live:
            self._progress.say(f"… {title}")
        sign = ("✗", "red")
        try:
            yield step
            sign = ("✓", "green")
        finally:
            self._running.remove(step)
            seconds = time.monotonic() - step.started
            detail = f"  {step.detail}" if self._progress.is_live else ""  # a log has it already
            self._progress.say(Text.assemble(sign, f" {title}  {seconds:.1f} s", (detail, "dim")))

    def say(self, step: Step, line: str) -> None:
        """Take the newest line of a step."""
        step.detail = line
        if not self._progress.is_live:
            for part in textwrap.wrap(line, LOG_COLUMNS - 4) or [""]:
                self._progress.say(f"    {part}")

    def watch(self, tally: Tally, timeline: Timeline, names: Mapping[str, str]) -> None:
        """Show the traffic from now on; ``names`` is version -> what it is, and may grow."""
        self._tally, self._timeline, self._names = tally, timeline, names

    def release(self, record: Record) -> None:
        """Take a newer state of a release; in a log its history is printed at once."""
        if self._record is not record:
            self._record, self._history = record, HistoryCursor()
        if not self._progress.is_live:
            for entry in self._history.advance(record.state):
                self._progress.say(f"    {entry_line(entry)}")
        if record.end:
            self._record = None


def _running_line(step: Step) -> RenderableType:
    seconds = time.monotonic() - step.started
    return Spinner("dots", Text(f"{step.title}  {seconds:.0f} s  {step.detail[:100]}"), style="cyan")
