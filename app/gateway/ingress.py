"""The gateway as a Serve application: one FastAPI app per replica over one data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from starlette.exceptions import HTTPException
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from app.errors import TidegateError
from app.gateway.admin import route_tables as routes_api
from app.gateway.feedback import ingestion as feedback
from app.gateway.grpc.service import InferenceService
from app.gateway.openapi import describe
from app.gateway.protocols.mlflow import routes as mlflow_scoring
from app.gateway.protocols.v1 import routes as v1
from app.gateway.protocols.v2 import routes as v2_routes
from app.gateway.replica import Parts
from app.ray_internals import share_no_port
from app.routing.readback import GATEWAY_DEPLOYMENT, gateway_handle
from app.serving.quiet_log import QUIET
from app.settings import get_settings


class StuckError(TidegateError):
    """An inline model's code has not come back for too long; Serve replaces the replica."""


class GatewayReplica(InferenceService):
    """One gateway replica: the parts, HTTP in front of them, and gRPC, whose calls are methods of the base."""

    def __init__(self) -> None:
        share_no_port()
        self._parts = Parts(get_settings(), serve.get_replica_context().replica_id.unique_id)
        super().__init__(self._parts.plane, self._parts.admission, self._parts.ready, version("tidegate"))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_api(self._parts)

    async def check_health(self) -> None:
        """Called by Serve now and then.

        Raises:
            StuckError: one call into an inline model has lasted longer than ``stuck_after_s``.
        """
        busy_s = self._parts.versions.busy_s()
        if busy_s > self._parts.settings.serving.stuck_after_s:
            raise StuckError(f"an inline model has been busy with one call for {busy_s:.0f} s")

    async def route_revision(self, model: str) -> int:
        """The revision of a model's table that this replica follows (read back by broadcast)."""
        return self._parts.plane.revision(model)

    async def placed_revision(self, model: str) -> int:
        """The same, once every version is where the table places it."""
        return self._parts.plane.placed_revision(model)


class Api(FastAPI):
    """FastAPI, with some routes answered before its middleware: that costs more than the rest of the way.

    Args:
        hot: routes whose endpoints are ASGI applications that make every answer themselves.
        settings: as FastAPI takes them.
    """

    def __init__(self, hot: Sequence[Route], **settings: Any) -> None:
        super().__init__(**settings)
        self._hot = hot
        self.router.routes.extend(hot)  # Serve names a request's route by this list

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._hot:
                found = route.path_regex.match(scope["path"])
                if found is not None and route.methods is not None and scope["method"] in route.methods:
                    scope["path_params"] = found.groupdict()
                    await route.app(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def build_api(parts: Parts) -> FastAPI:
    """The HTTP face of one replica."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await parts.start()
        yield
        await parts.stop()

    gateway, plane, admission = parts.settings.gateway, parts.plane, parts.admission
    release = version("tidegate")
    hot: list[Route] = []
    for front in (v2_routes, v1, mlflow_scoring):
        hot += front.hot_routes(plane, admission, gateway.max_body_bytes)
    hot += feedback.hot_routes(parts.feedback, plane, admission, gateway.max_body_bytes)
    api = Api(
        hot,
        title="Tidegate",
        version=release,
        description="Inference by the Open Inference Protocol, split by weight between the versions of a model.",
        lifespan=lifespan,
    )
    handle = cache(lambda: gateway_handle(gateway.app_name))
    api.include_router(v2_routes.router(plane, parts.ready, release))
    api.include_router(v1.router(plane))
    api.include_router(mlflow_scoring.router(plane))
    api.include_router(routes_api.router(parts.store, handle, admission.door))
    describe(api)
    api.add_exception_handler(TidegateError, _on_gateway_error)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(Exception, _on_defect)
    return api


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=headers)


async def _on_gateway_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TidegateError)
    return _error(error.status, str(error), error.headers)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return _error(400, "; ".join(problems))


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_of(request)):
        headers = {"allow": ", ".join(methods)}
    return _error(error.status_code, str(error.detail), dict(headers or {}))


def _methods_of(request: Request) -> list[str]:
    """All that the path takes: Starlette names those of the first route that has the path."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    held = [path for path in paths if compile_path(path)[0].match(request.url.path)]
    return sorted(method.upper() for method in paths[max(held, key=len)]) if held else []


async def _on_defect(_: Request, error: Exception) -> JSONResponse:
    return _error(500, f"the gateway failed ({type(error).__name__}); its log says more")  # Starlette logs it


def build(args: dict[str, Any] | None = None) -> Application:
    """What Serve's declarative configuration imports: ``app.gateway.ingress:build``."""
    settings = get_settings()
    gateway = settings.gateway
    deployment = serve.deployment(
        name=GATEWAY_DEPLOYMENT,
        autoscaling_config=AutoscalingConfig(
            min_replicas=gateway.min_replicas,
            max_replicas=gateway.max_replicas,
            target_ongoing_requests=gateway.target_ongoing_requests,
        ),
        max_ongoing_requests=gateway.max_ongoing_requests,
        max_queued_requests=gateway.max_queued_requests,
        max_surge_percent=100,  # a new replica before an old one goes
        logging_config=QUIET,
        ray_actor_options={
            "num_cpus": gateway.num_cpus,
            "label_selector": settings.serving.node_labels,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
        },
    )(serve.ingress()(GatewayReplica))
    application: Application = deployment.bind()
    return application
