"""What a call says beside its message, under the names that the HTTP front's headers have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Metadata:
    """What came with one call; None for what did not.

    Attributes:
        version: of ``x-model-version``.
        sticky_key: of ``x-sticky-key``.
        request_id: of ``x-request-id``.
        authorization: of ``authorization``.
        traceparent: of ``traceparent`` (W3C Trace Context).
        tracestate: of ``tracestate``.
    """

    version: str | None = None
    sticky_key: str | None = None
    request_id: str | None = None
    authorization: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @classmethod
    def of(cls, metadata: Iterable[tuple[str, str | bytes]]) -> Self:
        """From a call's invocation metadata; of a repeated name the last."""
        found = {name: value for name, value in metadata if isinstance(value, str)}
        return cls(
            version=found.get("x-model-version"),
            sticky_key=found.get("x-sticky-key"),
            request_id=found.get("x-request-id"),
            authorization=found.get("authorization"),
            traceparent=found.get("traceparent"),
            tracestate=found.get("tracestate"),
        )
