"""The headers that every protocol over HTTP shares."""

from __future__ import annotations

from app.gateway.call import Reply

STICKY_HEADER = b"x-sticky-key"
REQUEST_ID_HEADER = b"x-request-id"
VERSION_HEADER = "x-model-version"
FAILED_HEADER = "x-failed-versions"


def of_reply(reply: Reply) -> dict[str, str]:
    """Which version answered, and which failed before it. The request id is returned by Serve itself."""
    headers = {VERSION_HEADER: reply.version}
    if reply.failed:
        headers[FAILED_HEADER] = ", ".join(reply.failed)
    return headers
