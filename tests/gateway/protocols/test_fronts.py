"""The routes of MLflow's scoring protocol and of KServe's V1, over versions that live in the test. No cluster."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.gateway.echo import echo_api

JSON = {"content-type": "application/json"}
ROWS = {"instances": [{"x": 1.5, "n": 2, "who": "é"}]}
INVOCATIONS, PREDICT = "/models/table/invocations", "/v1/models/table:predict"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(echo_api(max_body_bytes=2000, max_rows=10))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as found:
        yield found


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps({"dataframe_split": {"columns": ["x", "n", "who"], "data": [[1.5, 2, "é"]]}}), JSON),
        (json.dumps({"dataframe_records": ROWS["instances"]}), JSON),
        (json.dumps(ROWS), JSON),
        (
            json.dumps({"inputs": {"x": [1.5], "n": [2], "who": ["é"]}}),
            {"content-type": "application/json; charset=utf-8"},
        ),
        ("x,n,who\n1.5,2,é\n", {"content-type": "text/csv"}),
        (gzip.compress(json.dumps(ROWS).encode(), mtime=0), {**JSON, "content-encoding": "gzip"}),
    ],
)
async def test_every_scoring_format_is_answered(
    client: httpx.AsyncClient, body: str | bytes, headers: dict[str, str]
) -> None:
    response = await client.post(INVOCATIONS, content=body, headers=headers)
    assert (response.status_code, response.json()) == (200, {"predictions": ROWS["instances"]})
    assert response.headers["x-model-version"] == "1"


async def test_v1_predicts_from_rows_and_columns(client: httpx.AsyncClient) -> None:
    response = await client.post(PREDICT, json=ROWS, headers={"x-sticky-key": "k"})
    assert (response.status_code, response.json()) == (200, {"predictions": ROWS["instances"]})
    assert response.headers["x-model-version"] == "1"
    assert (await client.get("/v1/models")).json() == {"models": ["table", "tensors"]}
    assert (await client.get("/v1/models/table")).json() == {"name": "table", "ready": True}
    assert (await client.get("/")).json() == {"status": "alive"}


async def test_a_reply_is_compressed_on_request(client: httpx.AsyncClient) -> None:
    for url in (INVOCATIONS, PREDICT):
        response = await client.post(url, json=ROWS, headers={"accept-encoding": "gzip"})
        assert (response.headers["content-encoding"], response.json()) == ("gzip", {"predictions": ROWS["instances"]})


async def test_ping_health_and_version_are_answered(client: httpx.AsyncClient) -> None:
    for path in ("ping", "health", "version"):
        assert (await client.get(f"/models/table/{path}")).status_code == 200
    assert (await client.get("/models/nothing/ping")).status_code == 404


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "BAD_REQUEST"),
        ({"content": b"{}"}, 415, "BAD_REQUEST"),
        ({"content": b"{}", "headers": {**JSON, "content-encoding": "br"}}, 415, "BAD_REQUEST"),
        ({"json": {}}, 400, "BAD_REQUEST"),
        ({"json": {"inputs": [1], "instances": [1]}}, 400, "BAD_REQUEST"),
        ({"json": {"instances": [{"y": 1}]}}, 400, "BAD_REQUEST"),
        ({"json": {**ROWS, "params": {"scale": "x"}}}, 400, "BAD_REQUEST"),
        ({"json": {"instances": [{"x": 1}] * 11}}, 413, "BAD_REQUEST"),
        ({"content": b" " * 2001, "headers": JSON}, 413, "BAD_REQUEST"),
    ],
)
async def test_errors_have_mlflows_form(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int, code: str
) -> None:
    response = await client.post(INVOCATIONS, **request_)
    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert list(response.json()) == ["error_code", "message"]


async def test_an_unknown_model_is_404_in_each_protocols_form(client: httpx.AsyncClient) -> None:
    sentence = "model 'nothing' is not served here; served: table, tensors"
    mlflows = await client.post("/models/nothing/invocations", json=ROWS)
    assert (mlflows.status_code, mlflows.json()) == (
        404,
        {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": sentence},
    )
    kserves = await client.post("/v1/models/nothing:predict", json=ROWS)
    assert (kserves.status_code, kserves.json()) == (404, {"error": sentence})


async def test_allow_names_every_method_of_a_path(client: httpx.AsyncClient) -> None:
    response = await client.delete("/routes/table")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, PUT")
