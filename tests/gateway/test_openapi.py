"""The gateway does what its OpenAPI document says: schemathesis calls every operation with what the document allows
and with what it forbids."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.gateway.keys import hash_key
from tests.support.echo import TABLE, TENSORS, echo_api

KEY = "the admin key"
MODELS = [TABLE.model, TENSORS.model]
INPUTS = [field.name for spec in (TENSORS, TABLE) for field in spec.inputs]


API = echo_api(admin_key_hash=hash_key(KEY))
schema = schemathesis.openapi.from_dict(API.openapi(), config=SchemathesisConfig(seed=1))
schema.app = API


@schema.hook
def map_path_parameters(_: HookContext, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Two in three requests are for a model that is there."""
    if parameters and "model" in parameters:
        models = [*MODELS, parameters["model"]]
        parameters["model"] = models[len(str(parameters["model"])) % len(models)]
        if "version" in parameters and len(str(parameters["version"])) % 2:
            parameters["version"] = "1"
    return parameters


@schema.hook
def map_headers(_: HookContext, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Bodies are as they are, not compressed and without binary tensors: other tests look at those."""
    for name in ("Content-Encoding", "Inference-Header-Content-Length"):
        (headers or {}).pop(name, None)
    return headers


@schema.hook
def map_body(_: HookContext, body: Any) -> Any:
    """Tensors have the names of the model's inputs."""
    if isinstance(body, dict) and isinstance(body.get("inputs"), list):
        for tensor, name in zip(body["inputs"], cycle(INPUTS), strict=False):
            if isinstance(tensor, dict) and isinstance(tensor.get("name"), str):
                tensor["name"] = name
    return body


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with asgi.get_client(cast(Any, API)) as found:
        yield found


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation(case: Case[Any], client: Any) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    response = case.call(session=client, headers=headers)
    # A document of all models cannot say which bodies fit one of them.
    case.validate_response(response, headers=headers, excluded_checks=[positive_data_acceptance])
