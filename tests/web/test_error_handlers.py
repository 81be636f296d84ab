"""Both HTTP faces reply to errors in one shape, with the headers that tell what to do next."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from app.errors import OverloadedError, ResourceExhaustedError
from app.web.bearer import caller_of, key_required
from app.web.error_handlers import add_error_handlers
from app.web.keys import Authenticator, Scope, hash_key
from app.web.openapi_parts import complete_document, responses


def face() -> FastAPI:
    api = FastAPI()
    admin = key_required(Authenticator({}, lambda: True, hash_key("admin key")), Scope.ADMIN, "A key")

    @api.get("/things/{number}", responses=responses([OverloadedError]))
    async def read(number: int) -> int:
        if number == 1:
            raise OverloadedError("too much at once")
        if number == 2:
            raise ResourceExhaustedError("the rate is used up", retry_after_s=7)
        if number == 3:
            raise KeyError("a defect")
        return number

    @api.put("/things/{number}")
    async def write(number: int) -> int:
        return number

    @api.get("/who", dependencies=[Depends(admin)])
    async def who(request: Request) -> str:
        return caller_of(request).key_id

    complete_document(api)
    add_error_handlers(api, "face")
    return api


def call(method: str, path: str, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(face(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://face") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "status", "sentence", "headers"),
    [
        ("/things/1", 503, "too much at once", {"retry-after": "1"}),
        ("/things/2", 429, "the rate is used up", {"retry-after": "7"}),
        ("/things/3", 500, "the face failed (KeyError); its log says more", {}),
        ("/things/x", 400, "path.number: Input should be a valid integer", {}),
        ("/other", 404, "Not Found", {}),
        ("/who", 401, "this needs a key with the scope admin", {"www-authenticate": 'Bearer realm="tidegate"'}),
    ],
)
def test_every_error_is_an_object_with_a_sentence(
    path: str, status: int, sentence: str, headers: dict[str, str]
) -> None:
    reply = call("GET", path)
    assert reply.status_code == status
    assert reply.json()["error"].startswith(sentence)
    assert {name: reply.headers[name] for name in headers} == headers


def test_allow_names_all_methods_of_a_path_with_several_routes() -> None:
    reply = call("DELETE", "/things/1")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, PUT")


def test_a_key_with_the_scope_is_admitted() -> None:
    reply = call("GET", "/who", headers={"authorization": "Bearer admin key"})
    assert (reply.status_code, reply.json()) == (200, "admin")


def test_the_document_describes_errors_and_promises_no_422() -> None:
    document: dict[str, Any] = face().openapi()
    described = document["paths"]["/things/{number}"]["get"]["responses"]
    assert set(described) == {"200", "500", "503"}
    assert described["503"]["headers"]["Retry-After"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
