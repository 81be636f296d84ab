"""What was seen of a cluster, before anyone has judged it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cluster.kube.manifest import Key, Object


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not seen, and why: a right is missing, or what would have to be there first."""

    why: str


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing to be allowed; ``resource`` may be ``pods/log``, ``namespace`` is ``None`` for the whole cluster."""

    verb: str
    group: str
    resource: str
    namespace: str | None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group} {where}"


@dataclass(frozen=True, slots=True)
class DryRun:
    """How the server took an object that it was told not to keep; ``words`` are its own."""

    outcome: Literal["accepted", "conflict", "refused", "unknown"]
    words: str = ""


ApiKind = tuple[str, str]
"""``apiVersion`` and ``kind``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one cluster and one namespace. Of Secrets only the names of their keys are kept."""

    server: str
    version: str
    namespace: str
    namespace_object: Object | Unknown | None = None
    rights: Mapping[Right, bool | Unknown] = field(default_factory=dict)
    kinds: Mapping[ApiKind, bool | Unknown] = field(default_factory=dict)
    operators: tuple[Object, ...] | Unknown = ()
    storage_classes: tuple[Object, ...] | Unknown = ()
    nodes: tuple[Object, ...] | Unknown = ()
    secrets: Mapping[str, frozenset[str] | Unknown | None] = field(default_factory=dict)
    limit_ranges: tuple[Object, ...] | Unknown = ()
    quotas: tuple[Object, ...] | Unknown = ()
    clusters: frozenset[str] | Unknown = frozenset()
    dry_runs: Mapping[Key, DryRun] = field(default_factory=dict)
