"""What a look at an object gives, and what it is looked at with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cluster.kube.health.events import Event
from cluster.kube.manifest import Object

State = Literal["ready", "progressing", "failed", "unknown"]

QUOTED = 160
"""Characters of an event that a longer sentence quotes."""

_PREEMPTION = re.compile(r"[,.]?( no new claims to deallocate,)? preemption: .*$")

OPERATOR_LOOKS_WITHIN_S = 60.0
"""An object without a status that is older than this has no controller that looks at it."""


@dataclass(frozen=True, slots=True)
class Health:
    """A state and, in one line, why. ``final``: it stays so until the object is changed, so waiting is pointless."""

    state: State
    why: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """What belongs to an object: its Warning events (newest first) and its pods; ``now`` tells their age."""

    events: tuple[Event, ...] = ()
    pods: tuple[Object, ...] = ()
    now: datetime | None = field(default=None)


def ready(why: str = "") -> Health:
    """It does what it is for."""
    return Health("ready", why)


def progressing(why: str) -> Health:
    """On its way."""
    return Health("progressing", why)


def failed(why: str, *, final: bool = False) -> Health:
    """Something is wrong with it."""
    return Health("failed", why, final)


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The conditions by type."""
    return {each["type"]: each for each in status.get("conditions") or []}


def is_true(condition: dict[str, Any] | None) -> bool:
    """Whether the condition is there and true."""
    return condition is not None and condition.get("status") == "True"


def condition_message(condition: dict[str, Any] | None, otherwise: str = "") -> str:
    """A condition's message, else its reason."""
    if condition is None:
        return otherwise
    return one_line(condition.get("message") or condition.get("reason") or otherwise)


def one_line(text: str, width: int = 300) -> str:
    """The text's words on one line, cut in the middle where it is longer than ``width`` characters.

    Of a traceback the last line says what it was.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        lines = [lines[0], lines[-1]] if not lines[0].startswith("Traceback") else lines[-1:]
    joined = " ".join(" ".join(lines).split())
    return joined if len(joined) <= width else f"{joined[: width // 2]} … {joined[-width // 2 :]}"


def without_preemption(text: str) -> str:
    """A scheduler's message without what preemption would not change: it repeats why no node fits."""
    return _PREEMPTION.sub("", text)


def stale_status(obj: Object) -> str | None:
    """Why the status is not about the spec that is there now, or ``None``."""
    generation = obj["metadata"].get("generation")
    observed = (obj.get("status") or {}).get("observedGeneration")
    if generation is not None and observed is not None and observed < generation:
        return f"its controller has seen generation {observed} of {generation}"
    return None


def without_status(obj: Object, related: Related, controller: str) -> Health:
    """The health of an object that has no status."""
    created = obj["metadata"].get("creationTimestamp")
    if created and related.now:
        age = (related.now - datetime.fromisoformat(created)).total_seconds()
        if age > OPERATOR_LOOKS_WITHIN_S:
            return Health("unknown", f"no status after {age:.0f} s; does {controller} run?")
    return progressing(f"{controller} has not looked at it yet")
