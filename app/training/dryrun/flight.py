"""Activations in flight in a pipeline: those that a rank holds at the same time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

PassOrder = tuple[tuple[int, int], ...]
"""In time: (stage, +1) for a microbatch's forward pass, (stage, -1) when its activations may go."""

_FORWARD, _DONE = "F", ("B", "W")


def order_of(actions: Iterable[Any] | None) -> PassOrder:
    """Order of passes, from one rank's row of torch's ``pipeline_order``; None: no pipeline, one pass each way.

    A backward pass in two halves keeps its activations until the second, that of the weights.
    """
    if actions is None:
        return ((0, 1), (0, -1))
    found: list[tuple[int, int]] = []
    for action in actions:
        if action is None:  # a bubble
            continue
        for part in action.sub_actions or (action,):
            if part.computation_type.value == _FORWARD:
                found.append((part.stage_index, 1))
            elif part.computation_type.value in _DONE:
                found.append((part.stage_index, -1))
    return tuple(found)


def most_in_flight(order: PassOrder, bytes_of: Mapping[int, int]) -> int:
    """The largest sum of the activations that are held at once.

    Args:
        bytes_of: activations of one microbatch, by stage.
    """
    flying: Counter[int] = Counter()
    most = 0
    for stage, change in order:
        flying[stage] += change
        most = max(most, sum(count * bytes_of[index] for index, count in flying.items()))
    return most
