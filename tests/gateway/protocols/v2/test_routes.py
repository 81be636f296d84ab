"""The V2 front over a version that lives in the test: headers, codings, statuses. No cluster."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.model_spec import FieldSpec, ModelSpec
from app.routing.route_table import Route, RouteTable
from app.serving.batch import Batch, BatchReply, VersionMetadata
from app.settings import Settings
from tests.gateway.echo import Echo
from tests.gateway.support import api_over

SPEC = ModelSpec(
    model="echo",
    version="1",
    inputs=(FieldSpec("x", "float32", (-1,)), FieldSpec("image", "bytes", (-1,)), FieldSpec("name", "str", (-1,))),
    outputs=(FieldSpec("x", "float32", (-1,)), FieldSpec("image", "bytes", (-1,)), FieldSpec("name", "str", (-1,))),
    columns=False,
)
URL = "/v2/models/echo/infer"
LENGTH = "inference-header-content-length"
IMAGE, NAME = b"\xff\0\xd8", "\0é"
RAW = struct.pack("<2f", 1.5, -2.0) + struct.pack("<I", 3) + IMAGE + struct.pack("<I", 3) + NAME.encode()
INPUTS = [
    {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
    {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 7}},
    {"name": "name", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 7}},
]
JSON_INPUTS = [
    {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, -2.0]},
    {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["i"]},
    {"name": "name", "shape": [1], "datatype": "BYTES", "data": [NAME]},
]


class StrictEcho(Echo):
    """A version that gives back what it took, and refuses elements of another type than its field's."""

    def __init__(self, app: str) -> None:
        pass

    async def metadata(self) -> VersionMetadata:
        return VersionMetadata(SPEC, batch_rows=64, cache_ttl_s=0)

    async def send(self, batch: Batch) -> BatchReply:
        assert isinstance(batch.inputs["image"][0], bytes)
        assert isinstance(batch.inputs["name"][0], str)
        assert batch.inputs["x"].dtype == np.float32
        return BatchReply(dict(batch.inputs), (), "echo", 0.0)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings()
    settings = settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"max_body_bytes": 2000})})
    table = RouteTable("echo", 1, "salt", routes=(Route("1", "echo-v1", 1.0),))
    api = api_over(settings, table, StrictEcho)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as found:
        yield found


def binary_request(
    raw: bytes = RAW, inputs: list[dict[str, Any]] = INPUTS, **fields: Any
) -> tuple[bytes, dict[str, str]]:
    """A body and the header that belongs to it."""
    text = json.dumps({"inputs": inputs, **fields}).encode()
    return text + raw, {LENGTH: str(len(text))}


async def test_all_binary_as_tritonclient_asks(client: httpx.AsyncClient) -> None:
    body, headers = binary_request(id="7", parameters={"binary_data_output": True})
    response = await client.post(URL, content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    head = int(response.headers[LENGTH])
    reply = json.loads(response.content[:head])
    assert (reply["id"], reply["model_version"], response.headers["x-model-version"]) == ("7", "1", "1")
    assert reply["outputs"] == INPUTS
    assert response.content[head:] == RAW


async def test_binary_inputs_and_a_json_output(client: httpx.AsyncClient) -> None:
    body, headers = binary_request(outputs=[{"name": "x"}, {"name": "name", "parameters": {"binary_data": False}}])
    response = await client.post(URL, content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert LENGTH not in response.headers
    assert [output["data"] for output in response.json()["outputs"]] == [[1.5, -2.0], [NAME]]


async def test_json_inputs_and_binary_outputs(client: httpx.AsyncClient) -> None:
    request = {"inputs": JSON_INPUTS, "outputs": [{"name": "image", "parameters": {"binary_data": True}}]}
    response = await client.post(URL, json=request)
    assert response.content[int(response.headers[LENGTH]) :] == b"\x01\0\0\0i"


@pytest.mark.parametrize(("coding", "shrink"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_both_ways(client: httpx.AsyncClient, coding: str, shrink: Any) -> None:
    body, headers = binary_request(parameters={"binary_data_output": True})
    headers |= {"content-encoding": coding, "accept-encoding": coding}
    response = await client.post(URL, content=shrink(body), headers=headers)
    assert (response.status_code, response.headers["content-encoding"]) == (200, coding)
    assert response.content[int(response.headers[LENGTH]) :] == RAW  # lengths are those before compression


async def test_a_librarys_default_gets_no_compressed_reply(client: httpx.AsyncClient) -> None:
    assert "gzip" in client.headers["accept-encoding"]
    response = await client.post(URL, json={"inputs": JSON_INPUTS})
    assert response.status_code == 200
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"", {}, 400, "the body is empty"),
        (gzip.compress(b"", mtime=0), {"content-encoding": "gzip"}, 400, "the body is empty"),
        (RAW, {"content-encoding": "gzip"}, 400, "the body is not gzip"),
        (RAW, {"content-encoding": "br"}, 415, "Content-Encoding is 'br'; accepted are gzip, deflate or none"),
        (gzip.compress(b" " * 2001, mtime=0), {"content-encoding": "gzip"}, 413, "more when decompressed"),
        (b" " * 2001, {}, 413, "a body may have 2000 bytes; this one declares 2001"),
        (RAW, {LENGTH: "x"}, 400, "Inference-Header-Content-Length is 'x'"),
        (RAW, {LENGTH: "500"}, 400, f"from 1 to the body's {len(RAW)}"),
        (binary_request()[0], {}, 400, "not a V2 inference request"),
        (*binary_request(RAW + b"0"), 400, "has 23 bytes; the inputs' binary_data_size add up to 22"),
        (*binary_request(outputs=[{"name": "z"}]), 400, "has no output 'z'; it gives x, image, name"),
        (*binary_request(RAW.replace(NAME.encode(), b"\xff\0\0")), 400, "input name takes text; the bytes that came"),
        (*binary_request(), 400, "output 'image' holds bytes that are not UTF-8; ask for it as binary data"),
    ],
)
async def test_errors_are_json_with_a_sentence(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    response = await client.post(URL, content=body, headers={"accept-encoding": "gzip", **headers})
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert sentence in response.json()["error"]
    assert "content-encoding" not in response.headers  # tritonclient reads errors as they come


async def test_the_extension_is_announced(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2")).json()["extensions"] == ["binary_tensor_data"]
    infer = (await client.get("/openapi.json")).json()["paths"]["/v2/models/{model}/infer"]["post"]
    for content in (infer["requestBody"]["content"], infer["responses"]["200"]["content"]):
        assert set(content) == {"application/json", "application/octet-stream"}
