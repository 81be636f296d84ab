"""The Open Inference Protocol over REST: a thin front that translates between HTTP and the data plane."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from fastapi import APIRouter, Request, Response

from app.gateway import content_coding, v2
from app.gateway.dataplane import DataPlane
from app.gateway.errors import InputError, NoAnswerError, TooLargeError
from app.gateway.v2_binary import LENGTH_HEADER
from app.registry import ModelSpec

STICKY_HEADER = b"x-sticky-key"
REQUEST_ID_HEADER = b"x-request-id"
VERSION_HEADER = "x-model-version"
FAILED_HEADER = "x-failed-versions"
PLATFORM = "mlflow_pyfunc"
EXTENSIONS = ["binary_tensor_data"]

_LENGTH = LENGTH_HEADER.lower().encode()

_INFER_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "inputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name", "shape", "datatype", "data"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "shape": {"type": "array", "items": {"type": "integer"}},
                                    "datatype": {"type": "string"},
                                    "data": {"type": "array", "items": {}},
                                },
                            },
                        },
                        "outputs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "parameters": {
                                        "type": "object",
                                        "properties": {"binary_data": {"type": "boolean"}},
                                    },
                                },
                            },
                        },
                        "parameters": {
                            "type": "object",
                            "properties": {"binary_data_output": {"type": "boolean"}},
                        },
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {
            "name": STICKY_HEADER.decode(),
            "in": "header",
            "schema": {"type": "string"},
            "description": "Requests with the same key meet the same version",
        },
        {
            "name": LENGTH_HEADER,
            "in": "header",
            "schema": {"type": "integer", "minimum": 1},
            "description": "Length of the JSON object in bytes, where binary tensors follow it",
        },
        {
            "name": "Content-Encoding",
            "in": "header",
            "schema": {"type": "string", "enum": ["gzip", "deflate"]},
            "description": "How the body is compressed, if it is",
        },
    ],
    "responses": {
        "200": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    },
}


def router(plane: DataPlane, ready: Any, version: str, max_body_bytes: int) -> APIRouter:
    """The protocol's routes over ``plane``; ``ready()`` says whether this replica may take traffic."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @routes.get("")
    async def server_metadata() -> dict[str, Any]:
        return {"name": "tidegate", "version": version, "extensions": EXTENSIONS}

    @routes.get("/health/live")
    async def server_live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready")
    async def server_ready() -> dict[str, bool]:
        if not ready():
            raise NoAnswerError("route tables have not been read yet")
        return {"ready": True}

    @routes.get("/models/{model}")
    async def model_metadata(model: str) -> dict[str, Any]:
        return _metadata(await plane.spec(model), list(plane.table(model).apps))

    @routes.get("/models/{model}/ready")
    async def model_ready(model: str) -> dict[str, Any]:
        spec = await plane.spec(model)
        return {"name": model, "version": spec.version, "ready": True}

    @routes.get("/models/{model}/versions/{version}")
    async def version_metadata(model: str, version: str) -> dict[str, Any]:
        return _metadata(await plane.spec(model, version), [version])

    @routes.get("/models/{model}/versions/{version}/ready")
    async def version_ready(model: str, version: str) -> dict[str, Any]:
        await plane.spec(model, version)
        return {"name": model, "version": version, "ready": True}

    async def answer(request: Request, model: str, pinned: str | None) -> Response:
        # One pass over the headers: each look-up in request.headers is one of its own.
        sent = dict(request.headers.raw)
        asked = v2.decode(await _body(request, sent, max_body_bytes), _text(sent, _LENGTH))
        request_id = asked.id or _text(sent, REQUEST_ID_HEADER) or uuid.uuid4().hex
        reply = await plane.infer(
            model,
            asked.inputs,
            pinned=pinned,
            key=_text(sent, STICKY_HEADER),
            outputs=asked.outputs,
        )
        headers = {VERSION_HEADER: reply.version}  # Serve itself returns the request id
        if reply.failed:
            headers[FAILED_HEADER] = ", ".join(reply.failed)
        media_type = "application/json"
        if binary := asked.binary_among(reply.outputs):
            body, length = v2.encode_binary(model, reply.version, request_id, reply.outputs, binary)
            media_type = "application/octet-stream"
            headers[LENGTH_HEADER] = str(length)
        else:
            body = v2.encode(model, reply.version, request_id, reply.outputs)
        if coding := content_coding.wanted(_text(sent, b"accept-encoding") or ""):
            body = await asyncio.to_thread(content_coding.compress, coding, body)
            headers["content-encoding"] = coding
        return Response(body, media_type=media_type, headers=headers)

    @routes.post("/models/{model}/infer", openapi_extra=_INFER_DOC)
    async def infer(model: str, request: Request) -> Response:
        """Answered by the version that the split picks for the sticky key or entity."""
        return await answer(request, model, None)

    @routes.post("/models/{model}/versions/{version}/infer", openapi_extra=_INFER_DOC)
    async def infer_version(model: str, version: str, request: Request) -> Response:
        """Answered by this deployed version and no other, whatever its weight."""
        return await answer(request, model, version)

    return routes


def _metadata(spec: ModelSpec, versions: list[str]) -> dict[str, Any]:
    return {
        "name": spec.model,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [v2.metadata(field) for field in spec.inputs],
        "outputs": [v2.metadata(field) for field in spec.outputs],
    }


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


async def _body(request: Request, headers: dict[bytes, bytes], limit: int) -> bytes:
    coding = content_coding.sent(_text(headers, b"content-encoding") or "")
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(f"a body may have {limit} bytes; this one declares {int(declared)}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLargeError(f"a body may have {limit} bytes; this one has more")
    plain = bytes(body)
    if coding is not None:
        plain = await asyncio.to_thread(content_coding.decompress, coding, plain, limit)
    if not plain:
        raise InputError("the body is empty; send a V2 inference request")
    return plain
