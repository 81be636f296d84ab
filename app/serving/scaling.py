"""How many replicas a version should have: by the requests that wait for it or are under way.

Serve counts calls, but a call carries many requests, and those that wait in a gateway replica for the next one are
no calls yet. So every call says how many requests its gateway replica has ongoing; a replica keeps what each of them
said last, and Serve's controller asks the replicas.
"""

from __future__ import annotations

from typing import Any

from ray.serve.config import AutoscalingContext

ONGOING = "tidegate_ongoing_requests"
FORGET_S = 2.0
"""A gateway replica that has not called for so long has nothing ongoing here."""


class Demand:
    """What the gateway replicas said they have ongoing. Pure."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, float]] = {}

    def told(self, caller: str, ongoing: int, now: float) -> None:
        """A call arrived; ``now`` in seconds on any monotonic clock."""
        self._said[caller] = (ongoing, now)

    def ongoing(self, now: float) -> int:
        """Requests ongoing for the whole version, as far as this replica has heard."""
        self._said = {caller: said for caller, said in self._said.items() if now - said[1] <= FORGET_S}
        return sum(ongoing for ongoing, _ in self._said.values())


def policy(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Serve's custom autoscaling policy; delays and bounds are Serve's own, as configured.

    Each replica hears of the whole version's demand, but at times of one gateway replica less: the largest counts.
    """
    heard = [value for value in (context.aggregated_metrics or {}).get(ONGOING, {}).values() if value is not None]
    if not heard:
        return context.target_num_replicas, {}
    assert context.config is not None
    return max(heard) / context.config.get_target_ongoing_requests(), {}
