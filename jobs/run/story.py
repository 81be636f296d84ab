"""The main job's steps, in the order in which they happen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from httpx import HTTPError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle
from redis.exceptions import RedisError

from app.features import EventStore, EventStoreError, FeatureStoreError
from app.recipes.flights.replay import START, october
from app.recipes.flights.views import VIEWS
from app.registry import CHALLENGER, CHAMPION, RegistryError, alias, connect
from app.releases.versions import bring_up, take_down
from app.routing.readback import NotFollowedError
from app.routing.store import RouteStore
from app.routing.store import connect as connect_redis
from app.routing.table import RouteError
from app.serving.deploy import DeployError
from app.settings import Settings
from jobs.connect import cluster, gateway
from jobs.run.errors import StepError
from jobs.run.features import FeatureReplay, replayed, storage_url
from jobs.run.pace import Pace
from jobs.run.progress import Progress
from jobs.run.stack import Routes, submit
from jobs.run.summary import Replayed, Training, summarize
from jobs.run.tally import Tally
from jobs.run.traffic import Replay, Request

MODEL = "flights"
OUTPUT = "late_probability"
ENTITY = "tailnum"
"""The sticky key: all flights of one aircraft meet one version."""
EXPECTED_FAILURES = (
    RegistryError,
    MlflowException,
    RouteError,
    RedisError,
    FeatureStoreError,
    EventStoreError,
    DeployError,
    NotFollowedError,
    HTTPError,
    RayError,
    ConnectionError,
)
"""What a step may end with that is told in a sentence, beside ``StepError``."""
SHARES = (0.1, 0.5, 1.0)
"""The challenger's weight, step by step."""


class Story:
    """Train, register, serve, fill the feature store, split, promote, remove."""

    def __init__(
        self,
        settings: Settings,
        pace: Pace,
        client: MlflowClient,
        store: RouteStore,
        gateway: DeploymentHandle[Any],
        routes: Routes,
        progress: Progress,
    ) -> None:
        self._settings, self._pace, self._client = settings, pace, client
        self._store, self._gateway, self._routes, self._progress = store, gateway, routes, progress

    async def train(self, name: str) -> Training:
        """Submit the training of a shipped configuration and wait for the version it registers."""
        entrypoint = f"python -m jobs.train --config flights-{name} --workers {self._pace.workers}"
        with self._progress.step(f"ray job submit -- {entrypoint}") as step:
            result = await submit(self._settings.ray, entrypoint, lambda line: self._progress.say(step, line))
            version, auc = result["version"], result["metrics"]["auc"]
            self._progress.say(step, f"registered {MODEL} version {version}, test AUC {auc:.3f}")
        return Training(name, result)

    async def deploy(self, training: Training) -> str:
        """Start the trained version as an application of its own, at weight 0."""
        version = str(training.result["version"])
        with self._progress.step(f"deploy {MODEL} version {version} ({training.name})") as step:
            up = await bring_up(
                self._client, self._store, self._gateway, MODEL, version, self._settings.serving, ENTITY
            )
            self._progress.say(step, f"{up.app} loaded, warm and healthy after {up.seconds:.1f} s")
        return version

    async def crown(self, version: str) -> None:
        """Give a version all the traffic and the alias champion; remove what an earlier run left."""
        with self._progress.step(f"version {version} is champion, with all the traffic") as step:
            await self._routes.set(MODEL, {version: 1.0})
            await self._alias(CHAMPION, version)
            table = await self._store.read(MODEL)
            for other in table.apps if table else ():
                if other != version:
                    self._progress.say(step, f"removing version {other}, left by an earlier run")
                    await take_down(self._store, self._gateway, MODEL, other)

    async def materialize(self) -> EventStore:
        """Submit the filling of the feature store as of the evening before the first flight; the events it used."""
        until = datetime.fromtimestamp(START, UTC).date()
        entrypoint = f"python -m jobs.materialize --recipe {MODEL} --until {until} --fresh"
        # The replay reads the events that the job writes: both must mean one place.
        place = {"TIDEGATE_FEATURES_STORAGE": storage_url(self._settings.features)}
        with self._progress.step(f"ray job submit -- {entrypoint}") as step:
            result = await submit(self._settings.ray, entrypoint, lambda line: self._progress.say(step, line), place)
            rows = sum(view["written"] for view in result["views"].values())
            self._progress.say(step, f"{rows:,} rows of {len(result['views'])} feature views as of {until}")
        return EventStore(result["events"])

    async def shift(self, champion: str, challenger: str, events: EventStore) -> tuple[Tally, Replayed]:
        """Replay October while the weight moves to the challenger, and on while the champion is removed."""
        await self._alias(CHALLENGER, challenger)
        async with AsyncExitStack() as stack:
            with self._progress.step("read the flights of October, and the events before them"):
                requests = await asyncio.to_thread(lambda: list(_requests()))
                features = await stack.enter_async_context(replayed(self._settings, events))
            tally = await self._shift(champion, challenger, requests, features)
            return tally, Replayed(features.events, features.rows)

    async def _shift(self, champion: str, challenger: str, requests: list[Request], features: FeatureReplay) -> Tally:
        tally = Tally([champion, challenger])
        self._progress.watch(tally, {champion: "static", challenger: "online"})
        await self._move(tally, champion, challenger, SHARES[0])
        async with self._traffic(iter(requests), tally, features):
            for share in SHARES:
                title = f"version {challenger} at {share:.0%}, flights of October at {self._pace.rate:g}/s"
                with self._progress.step(title) as step:
                    if share != SHARES[0]:
                        await self._move(tally, champion, challenger, share)
                    await self._while_showing(asyncio.sleep(self._pace.share_seconds))
                    self._progress.say(step, f"{tally.requests} requests, {len(tally.failures)} failed")
            with self._progress.step(f"the alias champion moves to version {challenger}"):
                await self._alias(CHAMPION, challenger)
                await asyncio.to_thread(self._client.delete_registered_model_alias, MODEL, CHALLENGER)
            with self._progress.step(f"version {champion} is drained and removed while the traffic runs") as step:
                await self._while_showing(take_down(self._store, self._gateway, MODEL, champion))
                self._progress.say(step, f"{tally.requests} requests, {len(tally.failures)} failed")
        return tally

    async def champion(self) -> str | None:
        """Who holds the alias now."""
        return await asyncio.to_thread(alias, self._client, MODEL, CHAMPION)

    async def _alias(self, name: str, version: str) -> None:
        await asyncio.to_thread(self._client.set_registered_model_alias, MODEL, name, version)

    async def _move(self, tally: Tally, champion: str, challenger: str, share: float) -> None:
        weights = {champion: 1 - share, challenger: share}
        tally.close(time.monotonic())
        followed_s = await self._routes.set(MODEL, weights)
        tally.begin(weights, followed_s)

    @asynccontextmanager
    async def _traffic(
        self, requests: Iterator[Request], tally: Tally, features: FeatureReplay
    ) -> AsyncIterator[None]:
        url = f"{self._settings.gateway.url}/v2/models/{MODEL}/infer"
        replay = Replay(url, OUTPUT, requests, self._pace.rate, tally, features.advance, len(VIEWS))
        running = asyncio.create_task(replay.run())
        try:
            yield
            if running.done():
                await running
                raise StepError("the flights of October ended before the last step; choose a lower --rate")
        finally:
            replay.stop()
            await running

    async def _while_showing(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.5)
            self._progress.traffic_moved()
        await task


def _requests() -> Iterator[Request]:
    for flight in october("static"):
        inputs = [
            {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
            for name, datatype, value in flight.inputs()
        ]
        yield Request(json.dumps({"inputs": inputs}).encode(), flight.key, flight.late, flight.scheduled_departure)


async def tell(settings: Settings, pace: Pace, progress: Progress, started: float) -> dict[str, Any]:
    """The whole story against a running stack; the summary at its end.

    Args:
        started: when the job began, ``time.monotonic``.

    Raises:
        StepError, RegistryError, RouteError, DeployError, NotFollowedError: a step failed.
    """
    client = await asyncio.to_thread(connect, settings.mlflow)
    redis = connect_redis(settings.redis)
    routes = Routes(settings.gateway)
    try:
        with cluster(settings.ray), gateway(settings.gateway.app_name) as handle:
            story = Story(settings, pace, client, RouteStore(redis), handle, routes, progress)
            static = await story.train("static")
            old = await story.deploy(static)
            await story.crown(old)
            online = await story.train("online")
            new = await story.deploy(online)
            events = await story.materialize()
            tally, done = await story.shift(old, new, events)
            return summarize(
                [static, online], tally, done, await story.champion(), new, old, time.monotonic() - started
            )
    finally:
        await routes.close()
        await redis.aclose()
