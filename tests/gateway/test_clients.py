"""Third-party clients: tritonclient, MLflow's, KServe's; with models of several flavours, on a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from mlflow import MlflowClient
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from numpy.typing import NDArray

from app.gateway.protocols.v2.datatypes import datatype_of
from app.redis_client import connect
from app.releases.control.deployment import bring_up
from app.routing.readback import gateway_handle
from app.routing.route_store import RouteStore
from app.settings import Settings
from tests.support.flavours import DTYPES, iris, log_all_types, log_pytorch, log_scaled, log_sklearn

KSERVE = os.environ.get("TEST_KSERVE_PYTHON", "")

MATRICES: dict[str, NDArray[Any]] = {
    **{name: np.array([[0, 1, 1], [1, 0, 1]], dtype) for name, dtype in DTYPES.items() if dtype.kind not in "US"},
    "uint64": np.array([[0, 2**64 - 1]], np.uint64),
    "float16": np.array([[0.5], [-65504]], np.float16),
    "text": np.array([["", "é\0", "tide"]], np.object_),
    "raw": np.array([[b"", b"\xff\xfe\0"]], np.object_),
}


@pytest.fixture(scope="module")
def fitted(driver: Settings, registry: MlflowClient) -> dict[str, Any]:
    """The models in this process, by the name under which they are served."""
    mlflow.set_experiment("clients")
    flowers, classifier = log_sklearn("iris")
    network, module = log_pytorch("network")
    versions = {
        "iris": flowers,
        "network": network,
        "scaled": log_scaled("scaled"),
        "all-types": log_all_types("all-types"),
    }
    assert driver.gateway.admin_key is not None

    async def up() -> None:
        redis = connect(driver.redis)
        try:
            store, gateway = RouteStore(redis), gateway_handle(driver.gateway.app_name)
            for model, version in versions.items():
                await bring_up(registry, store, gateway, model, version, driver.serving)
        finally:
            await redis.aclose()

    asyncio.run(up())
    headers = {"authorization": f"Bearer {driver.gateway.admin_key.get_secret_value()}"}
    for model, version in versions.items():
        url = f"{driver.gateway.url}/routes/{model}"
        response = httpx.put(url, json={"weights": {version: 1.0}}, headers=headers, timeout=30)
        assert response.status_code == 200, response.text
    return {"iris": classifier, "network": module}


@pytest.fixture
def address(driver: Settings, fitted: dict[str, Any]) -> str:
    """Host and port."""
    return driver.gateway.url.removeprefix("http://")


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as found:
        yield found


def given(name: str, array: NDArray[Any], module: Any = triton, binary: bool = True) -> Any:
    tensor = module.InferInput(name, list(array.shape), datatype_of(array.dtype.name))
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def as_bytes(array: NDArray[Any]) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in array.reshape(-1).tolist()]


def assert_matrices(result: Any, names: list[str]) -> None:
    for name in names:
        found = result.as_numpy(name)
        assert found.shape == MATRICES[name].shape
        if MATRICES[name].dtype.kind == "O":
            assert as_bytes(found) == as_bytes(MATRICES[name])
        else:
            assert found.dtype == MATRICES[name].dtype
            np.testing.assert_array_equal(found, MATRICES[name])


def test_triton_asks_for_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert client.is_model_ready("iris", "1")
    assert not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    found = client.get_model_metadata("all-types")
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in found["outputs"]} == {
        name: (datatype_of(array.dtype.name), [-1, -1]) for name, array in MATRICES.items()
    }


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_triton_all_types_as_binary_data(client: Any, coding: str | None) -> None:
    result = client.infer(
        "all-types",
        [given(name, array) for name, array in MATRICES.items()],
        request_id="7",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert (result.get_response()["id"], result.get_response()["model_version"]) == ("7", "1")
    assert_matrices(result, list(MATRICES))


def test_triton_all_types_in_json(client: Any) -> None:
    # tritonclient writes FP16 in binary only, and bytes that are no text have no JSON.
    binary = {"float16", "raw"}
    result = client.infer(
        "all-types",
        [given(name, array, binary=name in binary) for name, array in MATRICES.items()],
        outputs=[triton.InferRequestedOutput(name, binary_data=name in binary) for name in MATRICES],
    )
    assert_matrices(result, list(MATRICES))


def test_triton_outputs_by_name(client: Any) -> None:
    result = client.infer(
        "all-types",
        [given(name, array) for name, array in MATRICES.items()],
        outputs=[triton.InferRequestedOutput(name) for name in ("text", "int8")],
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == ["text", "int8"]
    assert_matrices(result, ["text", "int8"])


async def test_triton_parameters(address: str) -> None:
    inputs = [
        given("a", np.array([1.0, 2.0]), triton_aio),
        given("b", np.array([10.0, 20.0]), triton_aio),
        given("label", np.array(["x", "y"], np.object_), triton_aio),
    ]
    async with triton_aio.InferenceServerClient(address) as client:
        plain = await client.infer("scaled", inputs)
        scaled = await client.infer("scaled", inputs, parameters={"factor": 10})
        with pytest.raises(
            triton.InferenceServerException, match="takes no parameter 'faktor'; it takes factor, col"
        ):
            await client.infer("scaled", inputs, parameters={"faktor": 10})
    assert plain.as_numpy("total").tolist() == [1.0, 2.0]
    assert scaled.as_numpy("total").tolist() == [10.0, 20.0]


def test_triton_reads_our_errors(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match="model 'nothing' is not served here"):
        client.infer("nothing", [given("input", np.zeros((1, 4), np.float32))])
    with pytest.raises(triton.InferenceServerException, match=r"takes the shape \[-1, 4\]; got \[1, 3\]"):
        client.infer("network", [given("input", np.zeros((1, 3), np.float32))])


def test_the_pytorch_flavour(client: Any, fitted: dict[str, Any]) -> None:
    rows = np.random.default_rng(0).random((5, 4), dtype=np.float32)
    with torch.no_grad():
        expected = fitted["network"](torch.from_numpy(rows)).numpy()
    result = client.infer("network", [given("input", rows)])
    np.testing.assert_allclose(result.as_numpy("output"), expected, rtol=1e-5)


@pytest.fixture
def scoring(address: str) -> Callable[[str], ScoringServerClient]:
    """MLflow's client, which knows a server of one model: its prefix is the model's here."""
    host, port = address.split(":")
    return lambda model: ScoringServerClient(host, f"{port}/models/{model}")  # type: ignore[no-untyped-call]


def test_mlflow_the_sklearn_flavour(scoring: Callable[[str], Any], fitted: dict[str, Any]) -> None:
    table, _ = iris()
    client = scoring("iris")
    client.wait_server_ready(timeout=5)
    assert client.get_version() == mlflow.__version__
    found = client.invoke(table).get_predictions("ndarray")
    np.testing.assert_array_equal(found, fitted["iris"].predict(table))


def test_mlflow_parameters(scoring: Callable[[str], Any]) -> None:
    table = pd.DataFrame({"a": [1.0, float("nan")], "b": [10.0, 20.0], "label": ["x", "é"]})
    found = scoring("scaled").invoke(table, params={"factor": 2.0, "columns": ["a", "b"]}).get_predictions()
    pd.testing.assert_frame_equal(found, pd.DataFrame({"total": [22.0, 40.0], "label": ["x", "é"]}))


def test_mlflow_tensors(scoring: Callable[[str], Any], fitted: dict[str, Any]) -> None:
    rows = np.random.default_rng(1).random((3, 4), dtype=np.float32)
    with torch.no_grad():
        expected = fitted["network"](torch.from_numpy(rows)).numpy()
    found = scoring("network").invoke(rows).get_predictions("ndarray", dtype=np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mlflow_reads_our_errors(scoring: Callable[[str], Any]) -> None:
    with pytest.raises(Exception, match=r"error code 400.*BAD_REQUEST.*needs the inputs"):
        scoring("iris").invoke(pd.DataFrame({"sepal_length": [1.0]}))
    with pytest.raises(Exception, match=r"error code 404.*RESOURCE_DOES_NOT_EXIST"):
        scoring("nothing").invoke([[1.0]])


@pytest.mark.skipif(not KSERVE, reason="TEST_KSERVE_PYTHON names no Python with the package kserve")
def test_kserves_client_predicts(address: str, fitted: dict[str, Any]) -> None:
    table, _ = iris()
    rows = table.head(3)
    asked = {
        "url": f"http://{address}",
        "rows": rows.to_numpy().tolist(),
        "records": rows.to_dict(orient="records"),
        "tensor": [[0.0, 1.0, 2.0, 3.0]],
    }
    done = subprocess.run(
        [KSERVE, str(Path(__file__).parents[1] / "support" / "kserve_client.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered = json.loads(done.stdout.splitlines()[-1])
    species = fitted["iris"].predict(rows).tolist()
    with torch.no_grad():
        expected = fitted["network"](torch.tensor(asked["tensor"])).tolist()
    assert answered["ready"] == [True, True, True, True, True]
    assert answered["v1 rows"] == answered["v1 records"] == {"predictions": species}
    np.testing.assert_allclose(answered["v2 json"], expected, rtol=1e-5)
    np.testing.assert_allclose(answered["v2 binary"], expected, rtol=1e-5)
    assert "404" in answered["v1 error"]
    assert "model 'nothing' is not served here" in answered["v1 error"]
