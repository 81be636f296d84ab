"""What a front hands to the data plane, and what it gets back: free of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.gateway.inputs import Arrays
from app.serving.batch import Outputs


@dataclass(frozen=True, slots=True)
class InferCall:
    """One inference request.

    Attributes:
        inputs: arrays by input name; text as dtype object.
        pinned: a deployed version that must answer, with weight or without; no other one will.
        key: the caller's sticky key; without it the entity of the first row counts, else a fresh one.
        outputs: the outputs wanted; empty for all.
        parameters: handed to the model; accepted are those of its signature.
    """

    model: str
    inputs: Arrays
    pinned: str | None = None
    key: str | None = None
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """Outputs, the version that gave them, and the versions that failed before it."""

    version: str
    outputs: Outputs
    failed: tuple[str, ...]
