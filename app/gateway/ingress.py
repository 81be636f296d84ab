"""The gateway as a Serve application: one FastAPI app per replica over one data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.errors import TidegateError
from app.gateway.admin import route_tables as routes_api
from app.gateway.feedback import ingestion as feedback
from app.gateway.grpc.service import InferenceService
from app.gateway.openapi import describe
from app.gateway.protocols.mlflow import routes as mlflow_scoring
from app.gateway.protocols.v1 import routes as v1
from app.gateway.protocols.v2 import routes as v2_routes
from app.gateway.replica import GatewayReplica
from app.ray_internals import share_no_port
from app.routing.readback import GATEWAY_DEPLOYMENT, gateway_handle
from app.serving.quiet_log import QUIET
from app.settings import get_settings
from app.web.error_handlers import add_error_handlers


class StuckError(TidegateError):
    """An inline model's code has not come back for too long; Serve replaces the replica."""


class GatewayIngress(InferenceService):
    """One gateway replica: the parts, HTTP in front of them, and gRPC, whose calls are methods of the base."""

    def __init__(self) -> None:
        share_no_port()
        self._parts = GatewayReplica(get_settings(), serve.get_replica_context().replica_id.unique_id)
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


def build_api(parts: GatewayReplica) -> FastAPI:
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
        hot += front.raw_routes(plane, admission, gateway.max_body_bytes)
    hot += feedback.raw_routes(parts.feedback, plane, admission, gateway.max_body_bytes)
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
    api.include_router(routes_api.router(parts.store, handle, admission.authenticator))
    describe(api)
    add_error_handlers(api, "gateway")
    return api


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
    )(serve.ingress()(GatewayIngress))
    application: Application = deployment.bind()
    return application
