"""What the Ray cluster has room for. Uses Ray's state accessor, which it keeps behind an underscore (2.60)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ray._private.state import available_resources_per_node, state

EPSILON = 1e-6
"""Ray's resources are fixed-point numbers that arrive as floats."""


def draining_nodes() -> dict[str, float]:
    """Nodes that are going to be taken away: id -> when, seconds since the epoch (0: not said)."""
    found: Mapping[str, int] = state.get_draining_nodes()
    return {node: deadline_ms / 1000 for node, deadline_ms in found.items()}


def room(per_worker: Mapping[str, float]) -> int:
    """How many more workers there is room for now, on nodes that are not draining."""
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    return count(free, per_worker, draining_nodes())


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
