"""The gateway does what its OpenAPI document says: schemathesis calls every operation with what the document allows
and with what it forbids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from typing import Any, cast

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from app.redis_client import connect
from app.routing.route_store import RouteStore, now_ms
from app.routing.route_table import new_table
from app.settings import Settings
from app.web.keys import hash_key
from tests.gateway.echo import TABLE, TENSORS, echo_api

KEY = "the admin key"
MODELS = [TABLE.model, TENSORS.model]
INPUTS = [field.name for spec in (TENSORS, TABLE) for field in spec.inputs]


API = echo_api(admin_key_hash=hash_key(KEY))


def map_path_parameters(_: HookContext, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Two in three requests are for a model that is there."""
    if parameters and "model" in parameters:
        models = [*MODELS, parameters["model"]]
        parameters["model"] = models[len(str(parameters["model"])) % len(models)]
        if "version" in parameters and len(str(parameters["version"])) % 2:
            parameters["version"] = "1"
    return parameters


def map_headers(_: HookContext, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Bodies are as they are, not compressed and without binary tensors: other tests look at those."""
    for name in ("Content-Encoding", "Inference-Header-Content-Length"):
        (headers or {}).pop(name, None)
    return headers


def map_body(_: HookContext, body: Any) -> Any:
    """Tensors have the names of the model's inputs; labels are for models that are there."""
    for label in body if isinstance(body, list) else [body]:
        if isinstance(label, dict) and "label" in label and isinstance(label.get("model"), str):
            label["model"] = MODELS[len(label["model"]) % 2]
    if isinstance(body, dict) and isinstance(body.get("inputs"), list):
        for tensor, name in zip(body["inputs"], cycle(INPUTS), strict=False):
            if isinstance(tensor, dict) and isinstance(tensor.get("name"), str):
                tensor["name"] = name
    return body


def described(app: FastAPI | None) -> OpenApiSchema:
    """The document, called in this process (``app``) or where a call says."""
    found = schemathesis.openapi.from_dict(API.openapi(), config=SchemathesisConfig(seed=1))
    found.app = app
    for hook in (map_path_parameters, map_headers, map_body):
        found.hook(hook)
    return found


schema = described(API)
of_routes = described(None).include(path="/routes/{model}")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with asgi.get_client(cast(Any, API)) as found:
        yield found


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_does_what_the_document_says(case: Case[Any], client: Any) -> None:
    validate(case, f"Bearer {KEY}", session=client)


@of_routes.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_route_tables_of_a_cluster_match_the_document(case: Case[Any], followed: Settings) -> None:
    assert followed.gateway.admin_key is not None
    if len(str(case.body)) % 2 and isinstance(case.body, dict):
        case.body |= {"weights": {}}  # a change that can be made
    validate(case, f"Bearer {followed.gateway.admin_key.get_secret_value()}", base_url=followed.gateway.url)


@pytest.fixture(scope="module")
def followed(driver: Settings) -> Settings:
    """The models of this file have tables without versions."""

    async def write() -> None:
        store = RouteStore(connect(driver.redis))
        for model in MODELS:
            await store.write(0, new_table(model, now_ms()))
        await store.close()

    asyncio.run(write())
    return driver


def validate(case: Case[Any], authorization: str, **transport: Any) -> None:
    headers = {"authorization": authorization}
    response = case.call(headers=headers, **transport)
    # A document of all models cannot say which bodies fit one of them.
    case.validate_response(
        response, headers=headers, transport_kwargs=transport, excluded_checks=[positive_data_acceptance]
    )
