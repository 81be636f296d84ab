"""The report: a line a check and what to do below it, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from cluster.kube.doctor.check import Check, Level

_LEVELS: tuple[Level, ...] = ("ok", "unknown", "warning", "problem")


def exit_code(checks: Sequence[Check]) -> int:
    """1 where a problem is among them; a warning, and what nobody may look at, does not stop an apply."""
    return int(any(check.level == "problem" for check in checks))


def as_text(checks: Sequence[Check]) -> str:
    subject = max((len(check.subject) for check in checks), default=0)
    lines = []
    for check in checks:
        indent = " " * (9 + subject + 2)
        lines.append(f"{check.level:<9}{check.subject:<{subject}}  " + check.found.replace("\n", f"\n{indent}"))
        if check.advice:
            lines.append(f"{indent}→ {check.advice}")
    counted = Counter(check.level for check in checks)
    return "\n".join([*lines, "", ", ".join(f"{counted[level]} {level}" for level in _LEVELS if counted[level])])


def as_json(overlay: str, namespace: str, checks: Sequence[Check]) -> str:
    counted = Counter(check.level for check in checks)
    return json.dumps(
        {
            "overlay": overlay,
            "namespace": namespace,
            "counts": {level: counted[level] for level in _LEVELS},
            "checks": [asdict(check) for check in checks],
        },
        indent=2,
        ensure_ascii=False,
    )
