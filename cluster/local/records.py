"""The two records in the state folder: desired (written by ``up``) and observed (by the supervisor)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from app.releases.model.names import IMPORT_PATH
from cluster.local.config import Part, Ports

Phase = Literal["starting", "running", "stopping"]
ChildState = Literal["running", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class Desired:
    """The processes that should run. ``children`` counts the starts asked for; a higher number asks again."""

    stack_id: str
    ports: Ports
    parts: frozenset[Part]
    head_cpus: int
    gateway_import_path: str
    redis_url: str | None
    """Address of a Redis that is not ours; ``None``: we run one."""
    node_cpus: tuple[int, ...] = ()
    """Logical CPUs of each node beside the head."""
    releases_import_path: str = IMPORT_PATH
    children: dict[str, int] = field(default_factory=dict)

    @property
    def redis_address(self) -> str:
        return self.redis_url or f"redis://127.0.0.1:{self.ports.redis}/0"

    def write(self, path: Path) -> None:
        replace_file(path, json.dumps({**asdict(self), "parts": sorted(self.parts)}, indent=2))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Returns the record, or ``None`` where there is none."""
        found = _read(path)
        if found is None:
            return None
        return cls(
            **{
                **found,
                "ports": Ports(**found["ports"]),
                "parts": frozenset(found["parts"]),
                "node_cpus": tuple(found["node_cpus"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Child:
    """One process of the supervisor."""

    pid: int
    started: float
    """Seconds since the epoch."""
    attempt: int
    """Which of the starts that ``Desired.children`` counts this one is."""
    state: ChildState = "running"
    restarts: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """The processes that run."""

    stack_id: str
    pid: int
    phase: Phase
    children: dict[str, Child] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        replace_file(path, json.dumps(asdict(self), indent=2))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Returns the record, or ``None`` where there is none."""
        found = _read(path)
        if found is None:
            return None
        found.pop("created", None)  # which an older supervisor writes
        return cls(**{**found, "children": {name: Child(**each) for name, each in found["children"].items()}})


def replace_file(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old content or the new; readable by this user only."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found
