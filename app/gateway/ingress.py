"""The gateway as a Serve application: one FastAPI app per replica over one data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.errors import TidegateError
from app.gateway.front import Front
from app.gateway.fronts import FRONTS
from app.gateway.grpc.service import InferenceService
from app.gateway.replica import GatewayReplica
from app.ray_internals import share_no_port
from app.routing.readback import GATEWAY_DEPLOYMENT
from app.serving.quiet_log import QUIET
from app.settings import get_settings
from app.web.error_handlers import add_error_handlers
from app.web.openapi_parts import complete_document


class InlineModelStuckError(TidegateError):
    """An inline model's code has not come back for too long; Serve replaces the replica."""


class GatewayIngress(InferenceService):
    """One gateway replica as Serve runs it: HTTP over its parts, and gRPC, whose calls are methods of the base."""

    def __init__(self) -> None:
        share_no_port()
        self._replica = GatewayReplica(get_settings(), serve.get_replica_context().replica_id.unique_id)
        super().__init__(self._replica.plane, self._replica.admission, self._replica.ready, version("tidegate"))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_api(self._replica)

    async def check_health(self) -> None:
        """Called by Serve now and then.

        Raises:
            InlineModelStuckError: one call into an inline model has lasted longer than ``stuck_after_s``.
        """
        busy_s = self._replica.versions.busy_s()
        if busy_s > self._replica.settings.serving.stuck_after_s:
            raise InlineModelStuckError(f"an inline model has been busy with one call for {busy_s:.0f} s")

    async def route_revision(self, model: str) -> int:
        """The revision of a model's table that this replica follows (read back by broadcast)."""
        return self._replica.plane.revision(model)

    async def placed_revision(self, model: str) -> int:
        """The same, once every version is where the table places it."""
        return self._replica.plane.placed_revision(model)


class Api(FastAPI):
    """FastAPI, with some routes answered before its middleware: that costs more than the rest of the way.

    Args:
        raw: routes whose endpoints are ASGI applications that make every reply themselves.
        settings: as FastAPI takes them.
    """

    def __init__(self, raw: Sequence[Route], **settings: Any) -> None:
        super().__init__(**settings)
        self._raw = raw
        self.router.routes.extend(raw)  # Serve names a request's route by this list

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._raw:
                found = route.path_regex.match(scope["path"])
                if found is not None and route.methods is not None and scope["method"] in route.methods:
                    scope["path_params"] = found.groupdict()
                    await route.app(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def build_api(replica: GatewayReplica, fronts: Sequence[Front] = FRONTS) -> FastAPI:
    """The HTTP face of one replica."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await replica.start()
        yield
        await replica.stop()

    api = Api(
        [route for front in fronts if front.raw_routes for route in front.raw_routes(replica)],
        title="Tidegate",
        version=version("tidegate"),
        description="Inference by the Open Inference Protocol, split by weight between the versions of a model.",
        lifespan=lifespan,
    )
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for front in fronts:
        if front.router:
            api.include_router(front.router(replica))
        if front.openapi_paths:
            paths |= front.openapi_paths(replica.attributes)
        schemas |= front.schemas
    complete_document(api, paths, schemas)
    add_error_handlers(api, "gateway")
    return api


def build(args: dict[str, Any] | None = None) -> Application:
    """Returns the application that Serve's declarative configuration imports: ``app.gateway.ingress:build``."""
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
