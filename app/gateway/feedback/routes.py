"""``POST /feedback``."""

from __future__ import annotations

import msgspec
from starlette.routing import Route

from app.gateway.front import FrontContext
from app.gateway.http.endpoint import Endpoint, Exchange, HttpReply, failed


def raw_routes(context: FrontContext) -> list[Route]:
    """The route."""
    admission, feedback, plane = context.admission, context.feedback, context.plane
    max_body_bytes = context.settings.gateway.max_body_bytes

    async def take(exchange: Exchange) -> HttpReply:
        caller = await admission.admit(exchange.header(b"authorization"))
        taken = feedback.take(await exchange.body(max_body_bytes), caller.key_id, plane)
        return HttpReply(msgspec.json.encode({"accepted": taken}), 202)

    return [Route("/feedback", Endpoint(take, failed), methods=["POST"])]
