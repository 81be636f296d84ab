"""A front is one value: what is listed is served, described and routed, and a test adds one without another edit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.routing import Route as HttpRoute

from app.gateway.front import Front, FrontContext, PublicPath
from app.gateway.fronts import FRONTS
from app.gateway.http.endpoint import Endpoint, Exchange, HttpReply, failed
from app.gateway.request_attributes import AttributeTable, RequestAttributes
from app.routing.route_table import Route, RouteTable
from app.settings import Settings
from tests.gateway.echo import Echo
from tests.gateway.support import api_over
from tests.support.edge import front_errors

TABLE = RouteTable("table", 1, "salt", routes=(Route("1", "table-v1", 1.0),))


def _raw(context: FrontContext) -> list[HttpRoute]:
    async def shout(exchange: Exchange) -> HttpReply:
        body = await exchange.body(context.settings.gateway.max_body_bytes)
        return HttpReply(body.upper(), media_type="text/plain")

    return [HttpRoute("/shout/{model}", Endpoint(shout, failed), methods=["POST"])]


def _router(context: FrontContext) -> APIRouter:
    routes = APIRouter()

    @routes.get("/shout")
    async def models() -> list[str]:
        return context.plane.models()

    return routes


def _paths(_: AttributeTable[RequestAttributes]) -> dict[str, Any]:
    return {"/shout/{model}": {"post": {"responses": {"200": {"description": "In capitals"}}}}}


SHOUT = Front("shouting", (PublicPath("/shout"),), raw_routes=_raw, router=_router, openapi_paths=_paths)


async def test_a_front_of_ones_own_is_served_and_described() -> None:
    api = api_over(Settings(), TABLE, Echo, fronts=(*FRONTS, SHOUT))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as client:
        shouted = await client.post("/shout/table", content=b"quiet")
        assert (shouted.text, shouted.headers["content-type"]) == ("QUIET", "text/plain")
        assert (await client.get("/shout")).json() == ["table"]
        assert (await client.post("/shout/table", content=b"")).json()["error"].startswith("the body is empty")
        document = (await client.get("/openapi.json")).json()
    assert document["paths"]["/shout/{model}"]["post"]["responses"]["200"] == {"description": "In capitals"}


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
def test_raw_routes_are_described_and_lie_below_the_fronts_public_paths(front: Front) -> None:
    api = api_over(Settings(), TABLE, Echo, fronts=[front])
    described = set(api.openapi()["paths"])
    raw = {route.path for route in api._raw} if front.raw_routes else set()  # type: ignore[attr-defined]
    assert raw <= described
    for path in described:
        filled = re.sub(r"{\w+}", "x", path)
        assert any(
            filled == public.path or (not public.exact and filled.startswith(public.path + "/"))
            for public in front.public_paths
        ), path


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
def test_the_edge_and_the_mesh_route_every_front_within_its_time_limit(front: Front) -> None:
    assert front_errors(front, deadline_s=Settings().routing.deadline_s) == []


def test_a_front_that_the_manifests_do_not_route_is_reported() -> None:
    assert front_errors(SHOUT, deadline_s=5.0) == ["gateway-api: no rule routes /shout of shouting"]


def test_a_time_limit_of_the_edge_that_does_not_fit_a_front_is_reported() -> None:
    predictions = FRONTS[0]
    assert front_errors(predictions, deadline_s=10.0) == [
        "gateway-api: rule predictions cuts /v2 off after 10 s; accepted is more than the deadline of 10 s",
        "mesh: rule predictions cuts /v2 off after 10 s; accepted is more than the deadline of 10 s",
    ]
    assert front_errors(replace(predictions, has_deadline=False), deadline_s=5.0) == [
        "gateway-api: rule predictions cuts /v2 off after 10 s; accepted is no limit",
        "mesh: rule predictions cuts /v2 off after 10 s; accepted is no limit",
    ]
