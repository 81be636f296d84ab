"""A verdict on an object, the events and pods that explain it, and sentences made of its conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cluster.kube.manifest import Object
from cluster.kube.readiness.warning_events import WarningEvent

State = Literal["ready", "progressing", "failed", "unknown"]

QUOTED = 160
"""Characters of an event that a longer sentence quotes."""
NO_STATUS_S = 60.0
"""Age of an object without a status, in seconds, from which its controller is taken not to run."""

_PREEMPTION = re.compile(r"[,.]?( no new claims to deallocate,)? preemption: .*$")


@dataclass(frozen=True, slots=True)
class Readiness:
    """A state and its reason in one line. ``final``: it stays until the object is changed; waiting is pointless."""

    state: State
    why: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """Warning events (newest first) and pods that belong to an object; ``now`` gives their age."""

    events: tuple[WarningEvent, ...] = ()
    pods: tuple[Object, ...] = ()
    now: datetime | None = field(default=None)


def ready(why: str = "") -> Readiness:
    """The object does its work."""
    return Readiness("ready", why)


def progressing(why: str) -> Readiness:
    """The object is not ready yet."""
    return Readiness("progressing", why)


def failed(why: str, *, final: bool = False) -> Readiness:
    """The object has an error."""
    return Readiness("failed", why, final)


def conditions(status: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The conditions by type."""
    return {each["type"]: each for each in (status or {}).get("conditions") or []}


def is_true(condition: dict[str, Any] | None) -> bool:
    """True where the condition is there and true."""
    return condition is not None and condition.get("status") == "True"


def condition_message(condition: dict[str, Any] | None, otherwise: str = "") -> str:
    """The message of a condition, else its reason."""
    if condition is None:
        return otherwise
    return one_line(condition.get("message") or condition.get("reason") or otherwise)


def one_line(text: str, width: int = 300) -> str:
    """The text's words on one line, cut in the middle where it is longer than ``width`` characters.

    A traceback is represented by its last line.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        lines = [lines[0], lines[-1]] if not lines[0].startswith("Traceback") else lines[-1:]
    joined = " ".join(" ".join(lines).split())
    return joined if len(joined) <= width else f"{joined[: width // 2]} … {joined[-width // 2 :]}"


def without_preemption(text: str) -> str:
    """A scheduler's message without its part about preemption, which repeats why no node fits."""
    return _PREEMPTION.sub("", text)


def stale_status(obj: Object) -> str | None:
    """A sentence where the status is older than the present spec, else ``None``."""
    generation = obj["metadata"].get("generation")
    observed = (obj.get("status") or {}).get("observedGeneration")
    if generation is not None and observed is not None and observed < generation:
        return f"its controller has seen generation {observed} of {generation}"
    return None


def without_status(obj: Object, related: Related, controller: str) -> Readiness:
    """The readiness of an object that has no status."""
    created = obj["metadata"].get("creationTimestamp")
    if created and related.now:
        age = (related.now - datetime.fromisoformat(created)).total_seconds()
        if age > NO_STATUS_S:
            return Readiness("unknown", f"no status after {age:.0f} s; does {controller} run?")
    return progressing(f"{controller} has not looked at it yet")
