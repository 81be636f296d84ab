"""Boxes, arrows and captions as an SVG that reads on a light and on a dark page. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Literal

Kind = Literal["plain", "ours", "end"]

STYLE = """
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2 }
  .ours { fill: #ddf4ff; stroke: #0969da }
  .end { fill: #dafbe1; stroke: #1a7f37 }
  .name { font: 600 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle }
  .note { font: 12px system-ui, sans-serif; fill: #57606a; text-anchor: middle }
  .line { stroke: #57606a; stroke-width: 1.4; fill: none; marker-end: url(#tip) }
  .back { stroke: #cf222e; stroke-dasharray: 5 3 }
  .later { stroke-dasharray: 2 3 }
  .tip { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    .box { fill: #21262d; stroke: #8b949e }
    .ours { fill: #0c2d6b; stroke: #58a6ff }
    .end { fill: #033a16; stroke: #3fb950 }
    .name { fill: #e6edf3 }
    .note { fill: #9da7b3 }
    .line { stroke: #8b949e }
    .back { stroke: #f85149 }
    .tip { fill: #8b949e }
  }"""


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled rectangle; lengths in pixels from the picture's upper left corner.

    Attributes:
        notes: lines of smaller text under the name.
    """

    name: str
    x: int
    y: int
    width: int
    height: int
    notes: tuple[str, ...] = ()
    kind: Kind = "plain"

    def svg(self) -> str:
        """The rectangle and its text, centred."""
        middle = self.x + self.width // 2
        first = self.y + self.height // 2 - 8 * len(self.notes) + 5
        size = f'width="{self.width}" height="{self.height}"'
        lines = [
            f'<rect class="box {self.kind}" x="{self.x}" y="{self.y}" {size} rx="6"/>',
            f'<text class="name" x="{middle}" y="{first}">{escape(self.name)}</text>',
        ]
        for place, note in enumerate(self.notes, start=1):
            lines.append(f'<text class="note" x="{middle}" y="{first + 16 * place}">{escape(note)}</text>')
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line through ``points`` (x, y) with a tip at its end.

    Attributes:
        kind: ``back`` for a way back, ``later`` for what happens off the request's path.
    """

    points: tuple[tuple[int, int], ...]
    kind: Literal["", "back", "later"] = ""

    def svg(self) -> str:
        """The line."""
        path = " L ".join(f"{x} {y}" for x, y in self.points)
        return f'<path class="line {self.kind}" d="M {path}"/>'


@dataclass(frozen=True, slots=True)
class Caption:
    """A line of text, centred at (x, y)."""

    text: str
    x: int
    y: int

    def svg(self) -> str:
        """The text."""
        return f'<text class="note" x="{self.x}" y="{self.y}">{escape(self.text)}</text>'


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture: its size in pixels, the sentence for those who do not see it, boxes and arrows."""

    width: int
    height: int
    title: str
    parts: tuple[Box | Arrow | Caption, ...] = field(default=())

    def svg(self) -> str:
        """The whole document, the same for the same parts."""
        body = "\n".join(part.svg() for part in self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-label="{escape(self.title)}">\n'
            f"<title>{escape(self.title)}</title>\n"
            f"<style>{STYLE}\n</style>\n"
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path class="tip" d="M 0 0 L 10 5 L 0 10 z"/></marker></defs>\n'
            f"{body}\n</svg>\n"
        )
