"""Releases as a Serve application: one replica that decides, and answers ``/releases``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray import serve
from ray.serve import Application
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.errors import TidegateError
from app.events import event_redis
from app.features.online import now_us
from app.monitoring.labels import LabelJoin
from app.monitoring.samples import SampleBook, SampleStore, SampleWriter
from app.ray_internals import open_no_grpc_port
from app.redis_client import connect
from app.releases.api.error_responses import STATUSES, sentence_of, status_of
from app.releases.api.event_stream import MAX_SUBSCRIBERS, ReleaseFeed
from app.releases.api.routes import health, router
from app.releases.api.webhook import router as registry_events
from app.releases.control.controller import Controller
from app.releases.control.evaluation import GuardEvaluator
from app.releases.control.release_store import ReleaseStore
from app.releases.model.names import PREFIX
from app.releases.registry.poller import RegistryPoller
from app.releases.registry.reader import RegistryReader
from app.routing.readback import gateway_handle
from app.routing.route_store import RouteStore
from app.serving.quiet_log import QUIET
from app.settings import Settings, get_settings
from app.web.keys import Door, KeyWatch
from app.web.keys import Scope as KeyScope
from app.web.openapi_parts import SCHEMAS

DEPLOYMENT = "Releases"
NUM_CPUS = 0.1
HEALTH_CHECK_S = 2.0
"""Interval at which Serve looks whether the replica lives: while none does, nobody can order a way back, seconds."""
MAX_BYTES = 256 * 1024
"""Longest body (MLflow holds 5,000 characters of a plan): it is read before anybody asks for the key."""
MAX_REQUESTS = 256
"""Requests in flight beside the subscriptions, whose requests last as long as they follow."""


class ControllerReplica:
    """What the replica owns, and the order in which it begins and ends.

    Args:
        replica: its name.
    """

    def __init__(self, settings: Settings, replica: str) -> None:
        refresh_s = settings.routing.refresh_s
        self._redis = connect(settings.redis)
        self._keys = KeyWatch(connect(settings.redis), refresh_s)
        self.store = ReleaseStore(self._redis)
        self.feed = ReleaseFeed(connect(settings.redis), refresh_s)
        book = SampleBook(settings.samples.held_ticks)
        self._samples = SampleWriter(book, self._redis, replica, settings.samples, settings.redis.timeout_s)
        self._labels = LabelJoin(
            connect(event_redis(settings)),
            settings,
            lambda release, _, metric, arm, loss: book.note(release, [(metric, arm, loss)]),
            now_us,
        )
        routes = RouteStore(self._redis)
        self.controller = Controller(
            settings,
            replica,
            self.store,
            routes,
            cache(lambda: gateway_handle(settings.gateway.app_name)),
            GuardEvaluator(SampleStore(self._redis)),
            self._labels,
        )
        self.registry = RegistryPoller(
            settings.releases.registry_poll_s, RegistryReader(settings.mlflow), self.controller, self.store, routes
        )
        secret = settings.releases.webhook_secret
        self.webhook_secret = None if secret is None else secret.get_secret_value()
        self.door = Door(
            self._keys.keys,
            lambda: self._keys.age_s is not None,
            settings.gateway.admin_key_hash,
            frozenset(map(KeyScope, settings.gateway.anonymous)),
        )

    async def start(self) -> None:
        """Begin, also while Redis is away: all replica try again by themselves."""
        self._keys.start()
        self.feed.start()
        self._samples.start()
        self._labels.start()
        self.controller.start()
        self.registry.start()

    async def stop(self) -> None:
        """Stops the subscriptions first, which others wait for, and then the controller, which gives up its lease."""
        await self.feed.stop()
        await self.registry.stop()
        await self.controller.stop()
        await self._labels.stop()
        await self._samples.stop()
        await self._keys.stop()
        await self._redis.aclose()


class ReleasesIngress:
    """The one replica."""

    def __init__(self) -> None:
        open_no_grpc_port()
        self._replica = ControllerReplica(get_settings(), serve.get_replica_context().replica_id.unique_id)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_api(self._replica)


class Api(FastAPI):
    """FastAPI whose routes have their whole paths, as callers and the document have them: Serve hands them over as
    mounted below its route prefix. A body that says that it is too long is refused here: FastAPI's own limit, which
    finds those that do not say so, answers it with plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = dict(scope.get("headers", ())).get(b"content-length", b"")
        if length.isdigit() and int(length) > MAX_BYTES:
            too_large = _error(413, f"the body has {int(length):,} bytes; accepted are {MAX_BYTES:,}")
            await too_large(scope, receive, send)
            return
        await super().__call__({**scope, "root_path": ""}, receive, send)


def build_api(replica: ControllerReplica) -> FastAPI:
    """The HTTP face of the replica."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await replica.start()
        yield
        await replica.stop()

    api = Api(
        title="Tidegate: releases",
        version=version("tidegate"),
        description="A release makes a challenger champion, step by step, or takes it back.",
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=f"{PREFIX}/docs",
        redoc_url=None,
        max_body_size=MAX_BYTES,
    )
    api.include_router(health(replica.feed))
    api.include_router(registry_events(replica.registry, replica.door, replica.webhook_secret))
    api.include_router(router(replica.store, replica.controller, replica.feed, replica.door))
    _describe(api)
    for error in STATUSES:
        api.add_exception_handler(error, _on_release_error)
    api.add_exception_handler(TidegateError, _on_gateway_error)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(Exception, _on_defect)
    return api


def _describe(api: FastAPI) -> None:
    """Let the document say what is answered: errors have one shape, and what FastAPI finds wrong is a 400."""
    generated = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            found = generated()
            for operations in found["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            schemas = found["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["Error"] = SCHEMAS["Error"]
            api.openapi_schema = found
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=headers)


async def _on_release_error(_: Request, error: Exception) -> JSONResponse:
    status = status_of(error)
    retry = None if status.retry_after_s is None else {"retry-after": str(status.retry_after_s)}
    return _error(status.code, sentence_of(error), retry)


async def _on_gateway_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TidegateError)
    return _error(error.status, str(error), error.headers)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return _error(400, "; ".join(problems))


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_defect(_: Request, error: Exception) -> JSONResponse:
    return _error(500, f"the controller failed ({type(error).__name__}); its log says more")  # Starlette logs it


def build(args: dict[str, Any] | None = None) -> Application:
    """What Serve's declarative configuration imports: ``app.releases.api.ingress:build``."""
    deployment = serve.deployment(
        name=DEPLOYMENT,
        num_replicas=1,
        max_ongoing_requests=MAX_SUBSCRIBERS + MAX_REQUESTS,
        max_surge_percent=100,  # a new replica before the old one goes; the lease says which of them decides
        health_check_period_s=HEALTH_CHECK_S,
        logging_config=QUIET,
        ray_actor_options={
            "num_cpus": NUM_CPUS,
            "label_selector": get_settings().serving.node_labels,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
        },
    )(serve.ingress()(ReleasesIngress))
    application: Application = deployment.bind()
    return application
