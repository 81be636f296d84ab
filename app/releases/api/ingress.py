"""Releases as a Serve application: one replica that decides, and answers ``/releases``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from ray import serve
from ray.serve import Application
from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from app.clock import now_us
from app.events import connect_sink, event_redis
from app.monitoring.labels import LabelJoin
from app.monitoring.samples import LossBuffer, SampleStore, SampleWriter
from app.ray_internals import open_no_grpc_port
from app.redis_client import connect
from app.releases.api.errors import RedisUnavailableError
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
from app.web.error_handlers import add_error_handlers, error_reply
from app.web.keys import Authenticator, KeyWatch
from app.web.keys import Scope as KeyScope
from app.web.openapi_parts import complete_document

DEPLOYMENT = "Releases"
NUM_CPUS = 0.1
HEALTH_CHECK_S = 2.0
"""Interval at which Serve looks whether the replica lives: while none does, no way back can be ordered, seconds."""
MAX_BYTES = 256 * 1024
"""Longest body (MLflow holds 5,000 characters of a plan): it is read before anybody asks for the key."""
MAX_REQUESTS = 256
"""Requests in flight beside the subscriptions, whose requests last as long as they follow."""


class ControllerReplica:
    """The parts of the controller's replica, in the order in which they begin.

    Args:
        replica: its name.
    """

    def __init__(self, settings: Settings, replica: str) -> None:
        refresh_s = settings.routing.refresh_s
        self._started = AsyncExitStack()
        self._redis = connect(settings.redis)
        self._keys = KeyWatch(connect(settings.redis), refresh_s)
        self.store = ReleaseStore(self._redis)
        self.feed = ReleaseFeed(connect(settings.redis), refresh_s)
        losses = LossBuffer(settings.samples.held_ticks)
        self._samples = SampleWriter(losses, self._redis, replica, settings.samples, settings.redis.timeout_s)
        self._labels = LabelJoin(
            connect_sink(settings),
            connect(event_redis(settings)),
            settings,
            lambda release, _, metric, arm, loss: losses.add(release, [(metric, arm, loss)]),
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
        self.authenticator = Authenticator(
            self._keys.keys,
            lambda: self._keys.age_s is not None,
            settings.gateway.admin_key_hash,
            frozenset(map(KeyScope, settings.gateway.anonymous)),
        )

    async def start(self) -> None:
        """Starts the parts, also while Redis is away: each tries again by itself."""
        async with AsyncExitStack() as started:
            started.push_async_callback(self._redis.aclose)
            for part in (self._keys, self._samples, self._labels, self.controller, self.registry, self.feed):
                part.start()
                started.push_async_callback(part.stop)
            self._started = started.pop_all()

    async def stop(self) -> None:
        """Stops the parts in the reverse order: the feed, for which callers wait, first, and the controller, which
        gives up its lease, before what it uses. One that fails to stop keeps no other from it."""
        await self._started.aclose()


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
            too_large = error_reply(413, f"the body has {int(length):,} bytes; accepted are {MAX_BYTES:,}")
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
    api.include_router(registry_events(replica.registry, replica.authenticator, replica.webhook_secret))
    api.include_router(router(replica.store, replica.controller, replica.feed, replica.authenticator))
    complete_document(api)
    add_error_handlers(api, "controller")
    api.add_exception_handler(RedisError, _on_redis_error)
    return api


async def _on_redis_error(_: Request, error: Exception) -> JSONResponse:
    unavailable = RedisUnavailableError()
    return error_reply(unavailable.status, str(unavailable), unavailable.headers)


def build(args: dict[str, Any] | None = None) -> Application:
    """The application, as Serve's declarative configuration imports it: ``app.releases.api.ingress:build``."""
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
