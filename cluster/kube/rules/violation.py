"""A field of an object that the operator refuses, or takes and never makes anything of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cluster.kube.manifest import Key

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Violation:
    """``str()`` names the object, the field, its value and what would be accepted."""

    key: Key
    field: str
    value: Any
    accepted: str
    severity: Severity = "error"

    def __str__(self) -> str:
        found = "not set" if self.value is None else "set" if self.value == "set" else repr(self.value)
        return f"{self.key}: {self.field} is {found}; accepted: {self.accepted}"
