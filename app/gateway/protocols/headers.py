"""The headers that every HTTP front reads and writes, whatever its protocol."""

from __future__ import annotations

from app.gateway.http.endpoint import Exchange
from app.gateway.inference.call import InferReply
from app.gateway.inference.feature_lookup import FeatureReport
from app.gateway.trace_context import Identity, identify

STICKY_HEADER = b"x-sticky-key"
REQUEST_ID_HEADER = b"x-request-id"
TRACEPARENT_HEADER = b"traceparent"
TRACESTATE_HEADER = b"tracestate"
VERSION_HEADER = "x-model-version"
"""Of a reply: who answered. Of a request: who must (``pinning``)."""
PIN_HEADER = VERSION_HEADER.encode()
FAILED_HEADER = "x-failed-versions"
CACHE_HEADER = "x-prediction-cache"
FEATURES_HEADER = "x-feature-status"


def identity_of(exchange: Exchange, request_id: str | None = None) -> Identity:
    """The request's identity.

    Args:
        request_id: one that the body carries, which goes before the header's.
    """
    return identify(
        request_id or exchange.header(REQUEST_ID_HEADER),
        exchange.header(TRACEPARENT_HEADER),
        exchange.header(TRACESTATE_HEADER),
    )


def reply_headers(reply: InferReply, identity: Identity) -> dict[str, str]:
    """Who answered, who failed first, and what the answer rests on. Serve itself returns the request id."""
    headers = {VERSION_HEADER: reply.version, "traceparent": identity.traceparent}
    if reply.failed:
        headers[FAILED_HEADER] = ", ".join(reply.failed)
    if reply.cached:
        headers[CACHE_HEADER] = "hit"
    if reply.features is not None:
        headers[FEATURES_HEADER] = feature_status(reply.features)
    return headers


def feature_status(report: FeatureReport) -> str:
    """``fresh``, or which views have rows that are stale or missing; ``degraded`` where defaults stand in because the
    feature store does not answer."""
    if report.degraded:
        return "degraded"
    lacking = [
        f"{name}={'stale' if view.stale else 'missing'}"
        for name, view in report.views.items()
        if view.stale or view.missing
    ]
    return ", ".join(lacking) or "fresh"
