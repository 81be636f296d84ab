"""Room for workers on the Ray cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ray

from app.ray_internals import draining_nodes, free_resources, max_resources

EPSILON = 1e-6
"""Ray's resources are fixed-point numbers that arrive as floats."""


def room(per_worker: Mapping[str, float], labels: Mapping[str, str]) -> int:
    """Number of further workers that fit now on nodes that have ``labels`` and are not draining."""
    nodes = ray.nodes() if labels else []  # type: ignore[no-untyped-call]  # no look-up where every node is accepted
    others = {node["NodeID"] for node in nodes if not matches(node["Labels"], labels)}
    return count(free_resources(), per_worker, others | draining_nodes().keys())


def gpus() -> int:
    """GPUs of the cluster, with those that its autoscaler may still add."""
    now = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    return max(int(now), max_resources().get("GPU", 0))


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Reports if a node with ``labels`` matches ``wanted``, as Ray's label selectors do. Pure.

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
    """Number of workers that fit, each on one node. Pure.

    Args:
        free: resource amounts by node; per_worker: what one worker takes; without: nodes that do not count.
    """
    return sum(
        min(int(amounts.get(name, 0.0) / need + EPSILON) for name, need in per_worker.items())
        for node, amounts in free.items()
        if node not in without
    )
