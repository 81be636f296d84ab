"""What a rule has to say about one field, before it is known whose field that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

SET = "set"
"""Stands for a value that may be a secret: that it is there is all that a message says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``field`` is a dotted path, list entries by index; ``accepted`` says what would do."""

    field: str
    value: Any
    accepted: str


def under(prefix: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings with their fields seen from further up, e.g. ``rayClusterSpec`` of a RayJob."""
    for finding in findings:
        yield replace(finding, field=f"{prefix}.{finding.field}")
