"""The six calls over one of Serve's gRPC servers and a version that lives in the test. No cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from unittest.mock import Mock

import grpc
import numpy as np
import pytest
from ray.serve._private.grpc_util import gRPCGenericServer
from ray.serve.grpc_util import RayServegRPCContext
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from app.errors import ResourceExhaustedError
from app.gateway.access.admission import Admission
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.grpc.service import InferenceService
from app.gateway.grpc.servicer import add_inference_service
from app.gateway.inference.call import InferCall
from app.gateway.inference.dataplane import DataPlane
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.prediction_cache import PredictionCache
from app.model_spec import FieldSpec, ModelSpec
from app.routing.route_table import Route, RouteTable
from app.serving.batch import Batch, BatchReply, ModelFailure, VersionMetadata
from app.settings import Settings
from app.web.keys import Authenticator, Scope
from app.web.keys.api_key import hash_key
from tests.gateway.echo import Echo

SPEC = ModelSpec(
    model="echo",
    version="1",
    inputs=(FieldSpec("x", "float32", (-1,)), FieldSpec("name", "str", (-1,))),
    outputs=(FieldSpec("x", "float32", (-1,)), FieldSpec("name", "str", (-1,))),
    columns=False,
)


class ReplicaEcho(Echo):
    """A version that gives back what it took; below 0 it raises, above 1000 it waits for the test."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def metadata(self) -> VersionMetadata:
        return VersionMetadata(SPEC, batch_rows=1, cache_ttl_s=0)

    async def send(self, batch: Batch) -> BatchReply:
        x = float(batch.inputs["x"][0])
        self._replica.sent.append(x)
        if x < 0:
            return BatchReply(None, (ModelFailure("ValueError", "below 0"),), "echo", 0.0)
        if x > 1000:
            self._replica.held.set()
            await self._replica.release.wait()
        return BatchReply(dict(batch.inputs), (), "echo", 0.0)


KEY = "a key"


def admission(anonymous: frozenset[Scope]) -> Admission:
    """Admission of ``KEY`` and, for these scopes, of everybody."""
    return Admission(Authenticator({}, lambda: True, hash_key(KEY), anonymous), cast(RateLimiter, None))


class Replica:
    """A gateway replica as far as gRPC goes, and what its version was sent."""

    def __init__(self) -> None:
        self.ready = True
        self.sent: list[float] = []
        self.held, self.release = asyncio.Event(), asyncio.Event()
        settings = Settings()
        table = RouteTable("echo", 1, "salt", routes=(Route("1", "echo-v1", 1.0), Route("2", "echo-v2", 0.0)))
        versions = VersionBackends(settings, "g1", dedicated=lambda app: ReplicaEcho(self))
        self.plane = DataPlane(
            settings,
            {"echo": table},
            versions,
            lambda: self.ready,
            cast(FeatureLookup, None),
            cast(PredictionCache, None),
            lambda served: None,
        )
        self.service = InferenceService(
            self.plane, admission(frozenset({Scope.PREDICT})), lambda: self.ready, "1.2.3"
        )

    def handler(self, service_method: str, streaming_type: Any) -> Callable[..., Any]:
        """Calls a deployment's method as a replica of Serve does."""
        method = getattr(self.service, service_method.rpartition("/")[2], None)

        async def unary(request: bytes, context: Any) -> bytes:
            assert method is not None
            own = RayServegRPCContext(context)
            answer = await method(request, grpc_context=own)
            own._set_on_grpc_context(context)
            return bytes(answer.SerializeToString())

        return unary


@pytest.fixture
async def replica() -> Replica:
    return Replica()


@pytest.fixture
async def address(replica: Replica) -> AsyncIterator[str]:
    server = gRPCGenericServer(replica.handler)
    port = server.add_insecure_port("127.0.0.1:0")
    add_inference_service(Mock(), server)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def client(address: str) -> AsyncIterator[InferenceServerClient]:
    async with InferenceServerClient(address) as found:
        yield found


@pytest.fixture
async def stub(address: str) -> AsyncIterator[Any]:
    """The calls as they are, for what tritonclient does not show."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def inputs(x: float) -> list[Any]:
    x_tensor, name_tensor = InferInput("x", [1], "FP32"), InferInput("name", [1], "BYTES")
    x_tensor.set_data_from_numpy(np.array([x], np.float32))
    name_tensor.set_data_from_numpy(np.array(["é"], object))
    return [x_tensor, name_tensor]


def request(x: float, **fields: Any) -> Any:
    tensors = inputs(x)
    return service_pb2.ModelInferRequest(
        **{"model_name": "echo", **fields},
        inputs=[tensor._get_tensor() for tensor in tensors],
        raw_input_contents=[tensor._get_content() for tensor in tensors],
    )


async def test_health_follows_the_tables(client: InferenceServerClient, replica: Replica) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("echo")
    assert await client.is_model_ready("echo", "2")
    replica.ready = False
    assert await client.is_server_live()
    assert not await client.is_server_ready()
    assert not await client.is_model_ready("echo")


async def test_model_metadata_names_inputs_outputs_and_versions(client: InferenceServerClient) -> None:
    server = await client.get_server_metadata()
    assert (server.name, server.version) == ("tidegate", "1.2.3")
    model = await client.get_model_metadata("echo")
    assert (model.name, list(model.versions), model.platform) == ("echo", ["1", "2"], "mlflow_pyfunc")
    described = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in model.inputs]
    assert described == [("x", "FP32", [-1]), ("name", "BYTES", [-1])]
    assert list((await client.get_model_metadata("echo", "2")).versions) == ["2"]


async def test_inference_returns_the_outputs_and_the_version(client: InferenceServerClient) -> None:
    result = await client.infer("echo", inputs(1.5), request_id="7", outputs=[InferRequestedOutput("name")])
    reply = result.get_response()
    assert (reply.model_name, reply.model_version, reply.id) == ("echo", "1", "7")
    assert [output.name for output in reply.outputs] == ["name"]
    assert result.as_numpy("name").tolist() == ["é".encode()]
    result = await client.infer("echo", inputs(1.5), model_version="2")
    assert (result.get_response().model_version, result.as_numpy("x").tolist()) == ("2", [1.5])


async def test_metadata_reaches_the_call(stub: Any, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    infer = replica.plane.infer

    async def spied(call: InferCall) -> Any:
        calls.append(call)
        return await infer(call)

    monkeypatch.setattr(replica.plane, "infer", spied)
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = [
        ("x-sticky-key", "u1"),
        ("x-request-id", "r1"),
        ("traceparent", f"00-{trace}-b7ad6b7169203331-01"),
        ("tracestate", "a=1"),
        ("x-bin", b"\0"),
    ]
    call = stub.ModelInfer(request(1), metadata=sent)
    assert (await call).id == "r1"
    trailers = dict(await call.trailing_metadata())
    assert (trailers["x-model-version"], trailers["traceparent"][3:35]) == ("1", trace)
    assert (await stub.ModelInfer(request(1, id="r2"), metadata=sent)).id == "r2"
    assert len((await stub.ModelInfer(request(1))).id) == 32
    assert [call.attributes.sticky_key for call in calls] == ["u1", "u1", None]
    assert [call.identity.request_id for call in calls[:2]] == ["r1", "r2"]
    assert [call.identity.tracestate for call in calls] == ["a=1", "a=1", None]


async def test_metadata_pin_a_version_for_callers_that_may(stub: Any) -> None:
    chosen = ("x-model-version", "2")
    with pytest.raises(grpc.RpcError) as refused:
        await stub.ModelInfer(request(1), metadata=[chosen])
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "x-model-version is for keys with the scope release" in refused.value.details()
    assert 'scope="release"' in dict(refused.value.trailing_metadata())["www-authenticate"]
    allowed = [chosen, ("authorization", f"Bearer {KEY}")]
    assert (await stub.ModelInfer(request(1), metadata=allowed)).model_version == "2"
    with pytest.raises(grpc.RpcError) as contradicted:
        await stub.ModelInfer(request(1, model_version="1"), metadata=allowed)
    assert contradicted.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_prediction_needs_a_key_where_anonymous_callers_have_no_scope(
    stub: Any, client: InferenceServerClient, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica.service, "_admission", admission(frozenset()))
    with pytest.raises(grpc.RpcError) as refused:
        await stub.ModelInfer(request(1))
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert dict(refused.value.trailing_metadata())["www-authenticate"].startswith("Bearer")
    assert replica.sent == []
    assert await client.is_server_ready()
    result = await client.infer("echo", inputs(1.5), headers={"authorization": f"Bearer {KEY}"})
    assert result.as_numpy("x").tolist() == [1.5]


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (request(1, model_name="other"), "NOT_FOUND", "model 'other' is not served here; served: echo"),
        (request(1, model_version="9"), "NOT_FOUND", "version '9' of echo is not deployed; deployed: 1, 2"),
        (request(-1), "INTERNAL", "below 0"),
        (service_pb2.ModelInferRequest(model_name="echo"), "INVALID_ARGUMENT", "needs at least one tensor"),
    ],
)
async def test_each_error_has_its_grpc_code_and_sentence(stub: Any, given: Any, code: str, sentence: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        await stub.ModelInfer(given)
    assert refused.value.code() == grpc.StatusCode[code]
    assert sentence in refused.value.details()


async def test_the_sentence_reaches_tritonclient(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="version '9' of echo is not deployed"):
        await client.get_model_metadata("echo", "9")
    with pytest.raises(InferenceServerException, match="model 'other' is not served here"):
        await client.is_model_ready("other")


async def test_bytes_that_are_no_message_are_an_invalid_argument(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"\xff\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not a ModelInferRequest" in refused.value.details()


async def test_an_exhausted_rate_has_retry_after_in_its_trailers(
    stub: Any, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def limited(call: InferCall) -> Any:
        raise ResourceExhaustedError("the key's rate is used up", retry_after_s=7)

    monkeypatch.setattr(replica.plane, "infer", limited)
    with pytest.raises(grpc.RpcError) as refused:
        await stub.ModelInfer(request(1))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.value.trailing_metadata())["retry-after"] == "7"


async def test_a_defect_shows_the_caller_its_class_alone(
    stub: Any, replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replica.plane, "infer", Mock(side_effect=KeyError("secret")))
    with pytest.raises(grpc.RpcError) as refused:
        await stub.ModelInfer(request(1))
    assert refused.value.code() == grpc.StatusCode.INTERNAL
    assert refused.value.details() == "the gateway failed (KeyError); its log says more"
    assert "secret" in caplog.text


async def test_no_work_after_the_deadline(stub: Any, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    infer, cancelled = replica.plane.infer, asyncio.Event()

    async def watched(call: InferCall) -> Any:
        try:
            return await infer(call)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    monkeypatch.setattr(replica.plane, "infer", watched)
    async with asyncio.timeout(5):
        first = stub.ModelInfer(request(2000))
        await replica.held.wait()
        with pytest.raises(grpc.RpcError) as late:
            await stub.ModelInfer(request(1), timeout=0.2)  # waits: a version takes one call at a time
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await cancelled.wait()
        third = stub.ModelInfer(request(2))
        replica.release.set()
        await asyncio.gather(first, third)
    assert replica.sent == [2000, 2]
