"""One line of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "unknown", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """``found`` is what was seen; ``advice`` what to do, empty where nothing is. ``unknown``: we may not look."""

    subject: str
    level: Level
    found: str
    advice: str = ""
