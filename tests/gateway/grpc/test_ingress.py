"""gRPC on a real Ray cluster, through HAProxy to gateway replicas, by clients that others wrote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from mlflow import MlflowClient
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient as AioClient
from tritonclient.utils import InferenceServerException

from app.gateway.grpc.messages import METHODS, SERVICE
from app.gateway.protocols.v2.datatypes import datatype_of
from app.releases.control.deployment import bring_up
from app.routing.readback import gateway_handle
from app.routing.route_store import RouteStore, connect
from app.settings import Settings
from tests.support.models import ECHO_DTYPES, log_echo

MODEL = "grpc-echo"
KSERVE = "TEST_KSERVE_PYTHON"
"""A Python that has KServe's package, which pins pandas and protobuf below ours."""


def serve(settings: Settings, registry: MlflowClient, model: str, versions: list[str]) -> None:
    """Deploy the versions and give them equal weights."""

    async def up() -> None:
        redis = connect(settings.redis)
        try:
            store, gateway = RouteStore(redis), gateway_handle(settings.gateway.app_name)
            for version in versions:
                await bring_up(registry, store, gateway, model, version, settings.serving)
        finally:
            await redis.aclose()

    asyncio.run(up())
    assert settings.gateway.admin_key is not None
    answer = httpx.put(
        f"{settings.gateway.url}/routes/{model}",
        json={"weights": {version: 1 / len(versions) for version in versions}},
        headers={"authorization": f"Bearer {settings.gateway.admin_key.get_secret_value()}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def deployed(driver: Settings, registry: MlflowClient) -> Settings:
    """The stack with two versions of the echo model."""
    serve(driver, registry, MODEL, [log_echo(MODEL), log_echo(MODEL)])
    return driver


@pytest.fixture
def client(deployed: Settings) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(deployed.gateway.grpc_url) as found:
        yield found


def tensors() -> dict[str, NDArray[Any]]:
    """Two rows of each datatype, extremes included."""
    found: dict[str, NDArray[Any]] = {
        "bool": np.array([[True], [False]]),
        "text": np.array([["é\0"], [""]], object),
        "bytes": np.array([[b"\xff\0"], [b"plain"]], object),
    }
    for name, dtype in ECHO_DTYPES.items():
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            found[name] = np.array([[limits.min], [limits.max]], dtype)
        elif dtype.kind == "f":
            found[name] = np.array([[-0.5], [np.nan]], dtype)
    return found


def inputs() -> list[InferInput]:
    made = []
    for name, array in tensors().items():
        tensor = InferInput(name, list(array.shape), datatype_of(array.dtype.name))
        tensor.set_data_from_numpy(array)
        made.append(tensor)
    return made


def as_sent(array: NDArray[Any]) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in array.reshape(-1).tolist()]


def test_health_and_metadata(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "2")
    assert client.get_server_metadata().name == "tidegate"
    model = client.get_model_metadata(MODEL)
    assert list(model.versions) == ["1", "2"]
    assert {tensor.name: list(tensor.shape) for tensor in model.inputs} == {name: [-1, -1] for name in ECHO_DTYPES}


def test_every_datatype_comes_back(client: InferenceServerClient) -> None:
    result = client.infer(MODEL, inputs(), request_id="r1", parameters={"wait_s": 0.01})
    assert result.get_response().id == "r1"
    for name, array in tensors().items():
        back = result.as_numpy(name)
        assert back.shape == array.shape
        assert repr(as_sent(back)) == repr(as_sent(array)), name


def test_a_key_sticks_and_a_named_version_answers(client: InferenceServerClient) -> None:
    def version(**call: Any) -> str:
        return str(client.infer(MODEL, inputs(), **call).get_response().model_version)

    by_key = {key: {version(headers={"x-sticky-key": key}) for _ in range(3)} for key in map(str, range(12))}
    assert all(len(versions) == 1 for versions in by_key.values())
    assert set.union(*by_key.values()) == {"1", "2"}
    assert {version(model_version="2") for _ in range(8)} == {"2"}


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        ({"model_name": "absent"}, "NOT_FOUND", "model 'absent' is not served here"),
        ({"model_version": "9"}, "NOT_FOUND", "version '9' of grpc-echo is not deployed; deployed: 1, 2"),
        ({"parameters": {"fail": True}}, "INTERNAL", "told to fail"),
        ({"parameters": {"wait_s": "long"}}, "INVALID_ARGUMENT", "parameter wait_s takes float64; got 'long'"),
        ({"inputs": inputs()[:1]}, "INVALID_ARGUMENT", "needs the inputs"),
        ({"parameters": {"wait_s": 1.0}, "client_timeout": 0.3}, "DEADLINE_EXCEEDED", ""),
    ],
)
async def test_errors_reach_a_client_through_serve(
    deployed: Settings, call: dict[str, Any], code: str, sentence: str
) -> None:
    async with AioClient(deployed.gateway.grpc_url) as client:
        with pytest.raises(InferenceServerException) as refused:
            await client.infer(**{"model_name": MODEL, "inputs": inputs(), **call})
    assert refused.value.status() == f"StatusCode.{code}"
    assert sentence in refused.value.message()


def test_trailing_metadata_name_version_and_trace(deployed: Settings) -> None:
    with grpc.insecure_channel(deployed.gateway.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name=MODEL)
        for tensor in inputs():
            request.inputs.append(tensor._get_tensor())
            request.raw_input_contents.append(tensor._get_content())
        _, call = stub.ModelInfer.with_call(request, metadata=[("x-sticky-key", "0")])
        assert dict(call.trailing_metadata())["x-model-version"] in "12"


def test_a_message_over_the_limit_is_refused(deployed: Settings, client: InferenceServerClient) -> None:
    most = deployed.gateway.max_body_bytes
    for size, code in ((most, "StatusCode.INVALID_ARGUMENT"), (most + 128 * 1024, "StatusCode.RESOURCE_EXHAUSTED")):
        tensor = InferInput("fp32", [size // 4], "FP32")
        tensor.set_data_from_numpy(np.zeros(size // 4, np.float32))
        with pytest.raises(InferenceServerException) as refused:
            client.infer(MODEL, [tensor])
        assert refused.value.status() == code


def test_reflection_describes_the_service(driver: Settings) -> None:
    with grpc.insecure_channel(driver.gateway.grpc_url) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == {SERVICE, "grpc.reflection.v1alpha.ServerReflection"}
        service = DescriptorPool(database).FindServiceByName(SERVICE)
        assert [method.name for method in service.methods] == list(METHODS)
        assert service.methods_by_name["ModelInfer"].input_type.fields_by_name["raw_input_contents"].number == 7


@pytest.mark.skipif(KSERVE not in os.environ, reason=f"{KSERVE} names no Python that has KServe's package")
def test_kserves_grpc_client_is_answered(driver: Settings, registry: MlflowClient) -> None:
    model = "grpc-kserve"
    serve(driver, registry, model, [log_echo(model, "bool", "int64", "fp64")])
    script = Path(__file__).parent / "kserve_client.py"
    done = subprocess.run(
        [os.environ[KSERVE], str(script), driver.gateway.grpc_url, model],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["health"] == [True, True, True]
    assert found["raw"] == found["typed"] == found["sent"]
    assert "version '9' of grpc-kserve is not deployed; deployed: 1" in found["refused"]
