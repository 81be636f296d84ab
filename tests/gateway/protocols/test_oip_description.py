"""The gateway keeps to the Open Inference Protocol's REST description: schemathesis asks as it says, and compares."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.gateway.protocols.v2.datatypes import datatype_of
from tests.gateway.echo import TENSORS, echo_api

DESCRIPTION = Path(__file__).with_name("open_inference_rest.yaml")
API = echo_api()
VALUES: dict[str, list[Any]] = {
    "float32": [0, -1.5, 3.4e38],
    "int8": [-128, 0, 127],
    "uint64": [0, 2**64 - 1],
    "bool": [True, False],
    "str": ["", "é\0"],
    "bytes": ["x"],
}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with asgi.get_client(cast(Any, API)) as found:
        yield found


@pytest.fixture(scope="module")
def description() -> Any:
    text = DESCRIPTION.read_text().replace("${", "{")  # it writes its path parameters as a shell would
    found = schemathesis.openapi.from_dict(yaml.safe_load(text), config=SchemathesisConfig(seed=1))
    found.app = API
    found.config.generation.update(modes=[GenerationMode.POSITIVE])

    @found.hook
    def map_path_parameters(_: HookContext, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        return {"MODEL_NAME": TENSORS.model, "MODEL_VERSION": "1"} if parameters else parameters

    @found.hook
    def map_body(_: HookContext, body: Any) -> Any:
        """Every other request is one that the model takes."""
        if isinstance(body, dict) and len(str(body)) % 2:
            tensors = body["inputs"]
            body.pop("outputs", None)
            body.pop("parameters", None)
            del tensors[len(TENSORS.inputs) :]
            for tensor, field in zip(tensors, TENSORS.inputs, strict=False):
                values = [value for value, _ in zip(cycle(VALUES[field.dtype]), tensor["data"], strict=False)]
                tensor |= {"name": field.name, "datatype": datatype_of(field.dtype), "data": values}
                tensor |= {"shape": [len(values)], "parameters": {}}
        return body

    return found


def test_every_operation(description: Any, client: Any) -> None:
    answered: list[tuple[str, int]] = []
    for result in description.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def conforms(case: Any) -> None:
            response = case.call(session=client)
            answered.append((case.method, response.status_code))
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

        conforms()
    assert {("GET", 200), ("POST", 200), ("POST", 400)} <= set(answered)
