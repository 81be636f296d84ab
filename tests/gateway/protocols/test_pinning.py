"""The choice of a version by header: with which key, during which release, by every HTTP protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from msgspec import structs

from app.errors import InvalidArgumentError, PermissionDeniedError
from app.gateway.access.admission import Admission
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.inference.dataplane import DataPlane
from app.gateway.protocols.pinning import Pinning
from app.gateway.request_attributes import RequestAttributes
from app.routing.release_context import ReleaseContext
from app.routing.route_table import Route, RouteTable
from app.settings import Settings
from app.web.keys import Authenticator, Scope, hash_key, mint
from app.web.keys.authenticator import ANONYMOUS
from tests.gateway.echo import TABLE, Echo
from tests.gateway.support import api_over

ADMIN = "the admin key"
SHOP, SHOP_KEY = mint("shop", [Scope.PREDICT], 0)
OPS, OPS_KEY = mint("ops", [Scope.PREDICT, Scope.RELEASE], 0)
ROUTES = RouteTable(TABLE.model, 1, "salt", routes=(Route("1", "table-v1", 1.0), Route("2", "table-v1", 0.0)))
TRIAL = ReleaseContext("r-7", "1", "2")
ONLY_SHOP = replace(TRIAL, pinned=(SHOP_KEY.id,))
ALL = replace(TRIAL, pinned=("*",))

JSON = {"instances": [{"x": 1.5}]}
REQUESTS: list[tuple[str, Any]] = [
    ("/v2/models/table/infer", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]}),
    ("/v1/models/table:predict", JSON),
    ("/models/table/invocations", JSON),
]


def bearer(key: str | None) -> str | None:
    return None if key is None else f"Bearer {key}"


@pytest.mark.parametrize(
    ("release_context", "key", "may"),
    [
        (None, None, False),
        (None, SHOP, False),
        (None, OPS, True),
        (None, ADMIN, True),
        (TRIAL, SHOP, False),
        (TRIAL, OPS, True),
        (ONLY_SHOP, SHOP, True),
        (ONLY_SHOP, None, False),
        (ALL, None, True),
        (ALL, SHOP, True),
    ],
    ids=range(10),  # keys are random: names must be the same in every process
)
def test_callers_that_may_pin_and_callers_that_may_not(
    release_context: ReleaseContext | None, key: str | None, may: bool
) -> None:
    keys = {held.id: held for held in (SHOP_KEY, OPS_KEY)}
    authenticator = Authenticator(keys, lambda: True, hash_key(ADMIN), frozenset({Scope.PREDICT}))
    plane = SimpleNamespace(table=lambda model: structs.replace(ROUTES, release_context=release_context))
    pinning = Pinning(cast(DataPlane, plane), Admission(authenticator, cast(RateLimiter, None)))
    caller = authenticator.authenticate(bearer(key), Scope.PREDICT)
    unpinned = RequestAttributes(authorization=bearer(key))
    assert pinning.version("table", caller, unpinned) is None
    assert pinning.version("table", caller, structs.replace(unpinned, version=""), "2") == "2"
    pinned = structs.replace(unpinned, version="2")
    if may:
        assert pinning.version("table", caller, pinned) == "2"
        return
    with pytest.raises(PermissionDeniedError) as refused:
        pinning.version("table", caller, pinned)
    assert refused.value.scope == "release"
    assert (
        f"is for keys with the scope release{', or one that release r-7 names' if release_context else ''};"
        in str(refused.value)
    )


def test_a_header_that_contradicts_the_path_is_refused() -> None:
    pinning = Pinning(cast(DataPlane, None), cast(Admission, None))
    assert pinning.version("table", ANONYMOUS, RequestAttributes(version="1"), "1") == "1"
    with pytest.raises(
        InvalidArgumentError, match=r"is for version '1', its x-model-version says '2': leave one out"
    ):
        pinning.version("table", ANONYMOUS, RequestAttributes(version="2"), "1")


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    table = structs.replace(ROUTES, release_context=request.param)
    api = api_over(Settings(), table, lambda app: Echo("table-v1"), admin_key_hash=hash_key(ADMIN))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as found:
        yield found


@pytest.mark.parametrize(("url", "body"), REQUESTS)
@pytest.mark.parametrize("client", [ALL, TRIAL], indirect=True, ids=["all", "none"])
async def test_a_header_pins_by_every_protocol(
    client: httpx.AsyncClient, url: str, body: Any, request: pytest.FixtureRequest
) -> None:
    open_to_all = request.node.callspec.params["client"] is ALL
    assert (await client.post(url, json=body)).headers["x-model-version"] == "1"
    for headers, status in (({}, 200 if open_to_all else 403), ({"authorization": f"Bearer {ADMIN}"}, 200)):
        chosen = await client.post(url, json=body, headers={"x-model-version": "2", **headers})
        assert chosen.status_code == status, chosen.text
        if status == 200:
            assert chosen.headers["x-model-version"] == "2"
        else:
            assert 'scope="release"' in chosen.headers["www-authenticate"]
            assert "'anonymous' is none: leave it out" in chosen.text
    unknown = await client.post(url, json=body, headers={"x-model-version": "9", "authorization": f"Bearer {ADMIN}"})
    assert unknown.status_code == 404
    assert "version '9' of table is not deployed; deployed: 1, 2" in unknown.text
