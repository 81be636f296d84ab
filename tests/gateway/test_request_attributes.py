"""One table of request attributes: every protocol fills it, and one of a test's own needs no edit elsewhere."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

import httpx
import pytest

from app.gateway.access.admission import Admission
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.grpc.messages import CLASSES
from app.gateway.grpc.service import InferenceService
from app.gateway.inference.call import InferCall, InferReply
from app.gateway.inference.dataplane import DataPlane
from app.gateway.inference.request_record import RequestRecord
from app.gateway.request_attributes import ATTRIBUTES, AttributeTable, Header, RequestAttributes
from app.routing.route_table import Route, RouteTable
from app.settings import Settings
from app.web.keys import Authenticator, Scope
from tests.gateway.echo import Echo
from tests.gateway.support import api_over


class WithTenant(RequestAttributes, frozen=True, gc=False):
    tenant: Annotated[str | None, Header("x-tenant", "The customer on whose behalf it is")] = None


TABLE = RouteTable("table", 1, "salt", routes=(Route("1", "table-v1", 1.0),))
TENANT = AttributeTable(WithTenant)
ROWS = json.dumps({"instances": [{"x": 1.5}]})
TENSORS = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]})
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/models/table/infer", TENSORS),
        ("/v1/models/table:predict", ROWS),
        ("/models/table/invocations", ROWS),
    ],
)
async def test_an_attribute_of_ones_own_reaches_the_data_plane_by_every_http_protocol(path: str, body: str) -> None:
    records: list[RequestRecord] = []
    api = api_over(Settings(), TABLE, Echo, report=records.append, attributes=TENANT)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as client:
        reply = await client.post(path, content=body, headers={**JSON, "x-tenant": "acme", "x-sticky-key": "u1"})
        document = (await client.get("/openapi.json")).json()
    assert reply.status_code == 200
    (attributes,) = [record.call.attributes for record in records]
    assert attributes == WithTenant(sticky_key="u1", tenant="acme")
    parameters = document["paths"][path.replace("table", "{model}")]["post"]["parameters"]
    assert "x-tenant" in {parameter["name"] for parameter in parameters}


async def test_an_attribute_of_ones_own_reaches_the_data_plane_over_grpc() -> None:
    calls: list[InferCall] = []

    class Plane:
        async def infer(self, call: InferCall) -> InferReply:
            calls.append(call)
            return InferReply("1", dict(call.inputs), (), False, None)

    class Context:
        def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
            return [("x-tenant", "acme"), ("x-request-id", "r1"), ("x-bin", b"\0")]

        def set_trailing_metadata(self, metadata: Any) -> None:
            pass

    anonymous = Admission(Authenticator({}, lambda: True, None, frozenset({Scope.PREDICT})), cast(RateLimiter, None))
    service = InferenceService(cast(DataPlane, Plane()), anonymous, lambda: True, "1", TENANT)
    request = CLASSES["ModelInferRequest"](model_name="table")
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1])
    tensor.contents.fp64_contents.append(1.5)
    await service.ModelInfer(request.SerializeToString(), cast(Any, Context()))
    assert calls[0].attributes == WithTenant(request_id="r1", tenant="acme")


def test_http_and_grpc_read_the_same_names() -> None:
    sent = {header.name: f"value of {header.name}" for header in ATTRIBUTES.headers.values()}
    by_http = ATTRIBUTES.from_headers({name.encode(): value.encode() for name, value in sent.items()})
    assert by_http == ATTRIBUTES.from_metadata(sent.items())
    assert None not in {getattr(by_http, field) for field in ATTRIBUTES.headers}
    assert ATTRIBUTES.from_headers({}) == RequestAttributes()
