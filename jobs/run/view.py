"""Drawings of the demo: a release under way, the weights over time, the traffic. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.terminal import table
from jobs.release.client import Body
from jobs.release.sentences import entry_line, guards, number, phase_text, waiting_text
from jobs.run.record import Record
from jobs.run.tally import Tally

BAR, WIDTH = 16, 48
"""Widths of a bar and of the weights over time, characters."""
ENTRIES = 6
"""Newest entries of the history that are drawn."""
LEVELS = "▁▂▃▄▅▆▇█"
"""A share from above 0 to 1, in eighths."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(slots=True)
class Timeline:
    """Weights wanted, each from its instant on (seconds since the epoch), in their order."""

    changes: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def add(self, at: float, weights: Mapping[str, float]) -> bool:
        """Note the weights from ``at`` on; returns True where they are others than before."""
        is_new = not self.changes or dict(self.changes[-1][1]) != dict(weights)
        if is_new:
            self.changes.append((at, dict(weights)))
        return is_new

    def at(self, instant: float) -> Mapping[str, float]:
        """Returns the weights in force at an instant; empty before the first."""
        return next((weights for since, weights in reversed(self.changes) if since <= instant), {})

    def line(self, version: str, now: float, width: int) -> str:
        """Returns a version's weight from the first change until ``now``, one character for each part."""
        if not self.changes:
            return ""
        first = self.changes[0][0]
        part = max(now - first, 0.001) / width
        return "".join(level(self.at(first + (place + 0.5) * part).get(version, 0.0)) for place in range(width))


def level(share: float) -> str:
    """Returns one character for a share; a dot for weight 0, or a version that is not deployed."""
    return "·" if share <= 0 else LEVELS[min(int(share * len(LEVELS)), len(LEVELS) - 1)]


def bar(e: float, bound: float, width: int = BAR) -> str:
    """Returns a bar from no evidence (1) to the bound, on a logarithmic scale."""
    share = min(max(math.log(e) / math.log(bound), 0.0), 1.0) if e > 0 else 0.0
    full, rest = divmod(int(share * width * 8), 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def release_view(record: Record) -> RenderableType:
    """Returns a release in words, each guard's evidence against its bounds, and the newest of its history."""
    state = record.state
    waits = f", {text}" if (text := waiting_text(state)) else ""
    head = Text.assemble((f"release of version {record.version} ({record.name}): ", "bold"), phase_text(state), waits)
    lines: list[RenderableType] = [head]
    if guards(state):
        lines.append(_evidence(state))
    return Group(*lines, *(Text(f"  {entry_line(entry)}", style="dim") for entry in state["history"][-ENTRIES:]))


def _evidence(state: Body) -> Table:
    titles = ("judge", "e for a fail, of its bound", "e for a pass, of its bound", "challenger", "champion")
    drawn = table(*titles, whole=titles)
    for guard in guards(state):
        drawn.add_row(
            f"{guard['name']} {guard['verdict']}",
            _bar(guard["fail_e"], guard["bound"], "red"),
            _bar(guard["pass_e"], state["judge"]["pass_bound"], "green"),
            *(f"{number(guard[f'rate_{arm}'], '.2%')} of {guard[f'n_{arm}']}" for arm in ("challenger", "champion")),
        )
    return drawn


def _bar(e: float | None, bound: float, style: str) -> Text:
    return Text.assemble((bar(e or 0.0, bound), style), f" {number(e, '.2g')} of {bound:g}")


def weights_table(timeline: Timeline, names: Mapping[str, str], now: float, width: int = WIDTH) -> Table:
    """Returns, per version, its weight from the beginning of the traffic until now, and now."""
    seconds = now - timeline.changes[0][0] if timeline.changes else 0.0
    titles = ("version", f"weight over the last {seconds:.0f} s", "now")
    drawn = table(*titles, whole=titles)
    for version, name in names.items():
        weight = timeline.at(now).get(version, 0.0)
        drawn.add_row(f"{version} {name}", timeline.line(version, now, width), f"{weight:.0%}")
    return drawn


def traffic_table(tally: Tally, names: Mapping[str, str]) -> Table:
    """Returns, per version, weight set, share observed, requests, latency and quality so far."""
    titles = ("weight set", "share of keys (95 %)", "requests", "not answered", "p50 ms", "p99 ms", "AUC", "Brier")
    drawn = table("version", *titles, right=titles)
    phase = tally.phases[-1]
    for version, found in tally.versions.items():
        share, quality = phase.share(version), found.quality()
        drawn.add_row(
            f"{version} {names.get(version, '')}",
            f"{phase.weights.get(version, 0):.0%}",
            f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})" if phase.keys else "",
            str(found.requests),
            str(found.failed_attempts),
            *(figure(found.latency_ms(quantile), ".1f") for quantile in (0.5, 0.99)),
            *(figure(value, ".3f") for value in (quality.auc, quality.brier)),
        )
    drawn.caption = f"{tally.requests} requests, {len(tally.failures)} failed, {tally.fell_over} fell over"
    drawn.caption_justify = "left"
    return drawn


def traffic_lines(tally: Tally, names: Mapping[str, str]) -> list[str]:
    """Returns a line for each version that has weight, and one for what failed."""
    phase = tally.phases[-1]
    lines = [
        f"v{version} {names.get(version, '')}: set {weight:.0%} observed {phase.share(version).share:.1%} "
        f"requests {found.requests} p50 {found.latency_ms(0.5):.0f} ms AUC {found.quality().auc:.3f}"
        for version, found in tally.versions.items()
        if (weight := phase.weights.get(version, 0.0))
    ]
    return [*lines, f"fell over {tally.fell_over}, failed {len(tally.failures)}"]


def figure(value: float | None, form: str) -> str:
    """Returns a number as text; empty where there is none."""
    return "" if value is None or math.isnan(value) else format(value, form)
