"""What the Ray cluster has room for. Uses Ray's state accessor, which it keeps behind an underscore (2.60)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ray
from ray._private.state import available_resources_per_node, state

EPSILON = 1e-6
"""Ray's resources are fixed-point numbers that arrive as floats."""


def draining_nodes() -> dict[str, float]:
    """Nodes that are going to be taken away: id -> when, seconds since the epoch (0: not said)."""
    found: Mapping[str, int] = state.get_draining_nodes()
    return {node: deadline_ms / 1000 for node, deadline_ms in found.items()}


def room(per_worker: Mapping[str, float], labels: Mapping[str, str]) -> int:
    """How many more workers there is room for now, on nodes that have ``labels`` and are not draining."""
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    nodes = ray.nodes() if labels else []  # type: ignore[no-untyped-call]  # where all will do, nobody is asked
    others = {node["NodeID"] for node in nodes if not matches(node["Labels"], labels)}
    return count(free, per_worker, others | draining_nodes().keys())


def gpus() -> int:
    """GPUs of the cluster, with those that its autoscaler may still add."""
    now = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    most = state.get_max_resources_from_cluster_config() or {}  # None without an autoscaler
    return max(int(now), most.get("GPU", 0))


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a node with ``labels`` is one of those ``wanted``, as Ray's label selectors say it. Pure.

    Args:
        wanted: values by name; with ``!`` before it, any value but that, or none.
    """
    return all(
        labels.get(name) != value[1:] if value.startswith("!") else labels.get(name) == value
        for name, value in wanted.items()
    )


def count(
    free: Mapping[str, Mapping[str, float]], per_worker: Mapping[str, float], without: Collection[str] = ()
) -> int:
    """Workers that fit: each on one node. Pure.

    Args:
        free: resource amounts by node; per_worker: what one worker takes; without: nodes that do not count.
    """
    return sum(
        min(int(amounts.get(name, 0.0) / need + EPSILON) for name, need in per_worker.items())
        for node, amounts in free.items()
        if node not in without
    )
