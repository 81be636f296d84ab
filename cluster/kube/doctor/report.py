"""Report of the checks: one line per check with advice below it, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "unknown", "warning", "problem"]
_LEVELS: tuple[Level, ...] = ("ok", "unknown", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Check:
    """``found`` is what was seen, ``advice`` what to do about it; ``unknown`` means that we may not look."""

    subject: str
    level: Level
    found: str
    advice: str = ""


def exit_code(checks: Sequence[Check]) -> int:
    """Returns 1 where a check is a problem; a warning or an unknown does not stop an apply."""
    return int(any(check.level == "problem" for check in checks))


def as_text(checks: Sequence[Check]) -> str:
    """Returns the report for a person, with the number of checks of each level at its end."""
    subject = max((len(check.subject) for check in checks), default=0)
    indent = " " * (9 + subject + 2)
    lines = []
    for check in checks:
        lines.append(f"{check.level:<9}{check.subject:<{subject}}  " + check.found.replace("\n", f"\n{indent}"))
        if check.advice:
            lines.append(f"{indent}→ {check.advice}")
    counted = Counter(check.level for check in checks)
    return "\n".join([*lines, "", ", ".join(f"{counted[level]} {level}" for level in _LEVELS if counted[level])])


def as_json(overlay: str, namespace: str, checks: Sequence[Check]) -> str:
    """Returns the report as one JSON document."""
    counted = Counter(check.level for check in checks)
    counts = {level: counted[level] for level in _LEVELS}
    lines = [asdict(check) for check in checks]
    report = {"overlay": overlay, "namespace": namespace, "counts": counts, "checks": lines}
    return json.dumps(report, indent=2, ensure_ascii=False)
