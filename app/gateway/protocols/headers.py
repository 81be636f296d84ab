"""The headers of a reply, whatever its protocol; over gRPC they are trailing metadata."""

from __future__ import annotations

from app.gateway.inference.call import InferReply
from app.gateway.inference.feature_lookup import FeatureReport
from app.gateway.trace_context import Identity

VERSION_HEADER = "x-model-version"
FAILED_HEADER = "x-failed-versions"
CACHE_HEADER = "x-prediction-cache"
FEATURES_HEADER = "x-feature-status"


def reply_headers(reply: InferReply, identity: Identity) -> dict[str, str]:
    """The version that answered, those that failed first, and what the answer rests on. Serve itself returns the
    request id."""
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
