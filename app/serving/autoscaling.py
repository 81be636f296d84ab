"""The number of replicas of a version: by the requests that wait for it or are under way.

Serve counts calls, but a call carries many requests, and those that wait in a gateway replica for the next one are
no calls yet. So every call says how many requests its gateway replica has ongoing; a replica keeps what each of them
said last, and Serve's controller asks the replicas.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from ray.serve.config import AutoscalingContext

ONGOING = "tidegate_ongoing_requests"
FORGET_S = 2.0
"""A gateway replica whose last call ended so long ago has nothing ongoing here, seconds."""


class Demand:
    """The requests that the gateway replicas reported as ongoing. Pure."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._calls: Counter[str] = Counter()
        self._ended: dict[str, float] = {}
        self._reserved, self._reserved_until = 0.0, -math.inf

    def reserve(self, ongoing: float, until: float) -> None:
        """Reports at least ``ongoing`` requests until ``until``, whatever the traffic, so that capacity is kept."""
        self._reserved, self._reserved_until = ongoing, until

    def begins(self, caller: str, ongoing: int) -> None:
        """A call arrived, and with it how many requests the caller has ongoing."""
        self._said[caller] = ongoing
        self._calls[caller] += 1

    def ends(self, caller: str, now: float) -> None:
        """A call was answered; ``now`` in seconds on any monotonic clock."""
        self._calls[caller] -= 1
        self._ended[caller] = now

    def ongoing(self, now: float) -> float:
        """Requests ongoing for the whole version, as far as this replica has heard, or what it is to hold."""
        for caller, ended in list(self._ended.items()):
            if not self._calls[caller] and now - ended > FORGET_S:
                del self._said[caller], self._calls[caller], self._ended[caller]
        return max(float(sum(self._said.values())), self._reserved if now < self._reserved_until else 0.0)


def policy(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Serve's custom autoscaling policy; delays and bounds are Serve's own, as configured.

    Each replica hears of the whole version's demand, but at times of one gateway replica less: the largest counts.
    """
    heard = [value for value in (context.aggregated_metrics or {}).get(ONGOING, {}).values() if value is not None]
    if not heard:
        return context.target_num_replicas, {}
    assert context.config is not None
    return max(heard) / context.config.get_target_ongoing_requests(), {}
