"""The time limits along a request's way, from the edge to the version's replica, in one table.

``tidegate settings --time-limits`` prints it under the settings in force, as Markdown.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from app.settings import Settings

EDGE_LIMIT_S: Final = 10.0
"""Of the rule "predictions" in the manifests (components ``gateway-api`` and ``mesh``), seconds."""
RATE_LIMITER_DEADLINE_S: Final = 0.25
"""Longest that a request waits for Redis before its replica's own bucket decides, seconds."""
DEADLINE_SETTING: Final = "TIDEGATE_ROUTING_DEADLINE_S"


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """One limit.

    Attributes:
        where: the part of the way, outermost first.
        seconds: None for no limit.
        setting: where it is set; empty for a constant.
        then: what happens when it is over.
    """

    where: str
    seconds: float | None
    setting: str
    then: str


def time_limits(settings: Settings) -> tuple[TimeLimit, ...]:
    """The limits of a prediction, in the order of its way. Those of gRPC calls begin behind HAProxy: the edge sets
    none, a call ends at its caller's deadline."""
    server_s = os.environ.get("RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S")
    connect_s = float(os.environ.get("RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S", "5"))
    routing, features, cache = settings.routing, settings.features, settings.cache
    return (
        TimeLimit("edge, HTTP", EDGE_LIMIT_S, "manifests: rule predictions", "504 of the edge, without a reason"),
        TimeLimit("HAProxy, connecting", connect_s, "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S", "another gateway replica"),
        TimeLimit(
            "HAProxy, reply",
            float(server_s) if server_s else None,
            "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S",
            "504 of HAProxy, without a reason",
        ),
        TimeLimit("rate limiter", RATE_LIMITER_DEADLINE_S, "", "the replica's own share of the limit applies"),
        TimeLimit(
            "routing, all attempts", routing.deadline_s, DEADLINE_SETTING, "504, or the last attempt's own error"
        ),
        TimeLimit(
            "routing, one attempt",
            routing.attempt_timeout_s,
            "TIDEGATE_ROUTING_ATTEMPT_TIMEOUT_S",
            "the next version with weight; its calls count for the breaker",
        ),
        TimeLimit(
            "features", features.read_timeout_s, "TIDEGATE_FEATURES_READ_TIMEOUT_S", "declared defaults, or 503"
        ),
        TimeLimit(
            "prediction cache", cache.redis_timeout_s, "TIDEGATE_CACHE_REDIS_TIMEOUT_S", "the version computes"
        ),
        TimeLimit(
            "version's replica",
            settings.serving.stuck_after_s,
            "TIDEGATE_SERVING_STUCK_AFTER_S",
            "Serve replaces the replica",
        ),
    )


def edge_limit_error(where: str, seconds: float, deadline_s: float) -> str | None:
    """The sentence that refuses an edge's time limit; None for one that leaves the gateway time for its own 504.

    Args:
        where: the limit's place, as in "HTTPRoute tidegate, rule predictions".
        seconds: the limit; 0 for none.
        deadline_s: the gateway's deadline, :attr:`app.settings.RoutingSettings.deadline_s`.
    """
    if seconds == 0 or seconds > deadline_s:
        return None
    return (
        f"{where}: its time limit of {seconds:g} s is over before the gateway's own 504; accepted is more than "
        f"{DEADLINE_SETTING}, which is {deadline_s:g} s"
    )


def table(settings: Settings) -> str:
    """The limits as a table in Markdown."""
    rows = ["| where | limit | setting | when it is over |", "| --- | --- | --- | --- |"]
    for limit in time_limits(settings):
        seconds = "none" if limit.seconds is None else f"{limit.seconds:g} s"
        rows.append(f"| {limit.where} | {seconds} | {f'`{limit.setting}`' if limit.setting else ''} | {limit.then} |")
    return "\n".join(rows)
