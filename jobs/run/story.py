"""The steps of the demo, in the order in which they happen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from ray.exceptions import RayError
from redis.exceptions import RedisError

from app.errors import TidegateError
from app.features import EventStore
from app.model_spec import CHAMPION
from app.recipes.flights.replay import START, october
from app.recipes.flights.views import VIEWS
from app.registry import alias, connect
from app.settings import Settings
from jobs.release.client import Body, Releases
from jobs.release.sentences import plain
from jobs.run.command import StepError
from jobs.run.features import FeatureReplay, replayed, storage_url
from jobs.run.labels import LabelFeed
from jobs.run.progress import DemoProgress
from jobs.run.record import End, Record, instant
from jobs.run.releasing import end_earlier, follow, plan
from jobs.run.stack import submit
from jobs.run.strict import register_strict
from jobs.run.summary import ReleasesUnderTraffic, TrainedVersion, summarize
from jobs.run.tally import Rise, Tally
from jobs.run.traffic import Replay, ReplayRequest
from jobs.run.view import Timeline
from jobs.versions.run import Versions, connected

MODEL = "flights"
OUTPUT = "late_probability"
ENTITY = "tailnum"
"""The sticky key: all flights of one aircraft meet one version."""
EXPECTED_FAILURES = (TidegateError, MlflowException, RedisError, RayError, ConnectionError)
"""Errors of a step that are printed as a sentence."""
FIRST_PLAN, CANARY_PLAN = "first", "canary"
RELEASE_TIMEOUT_S = 900.0
"""Deadline of one release, seconds: most take a minute; on a busy machine the judge waits longer for its requests."""
FOLLOW_TIMEOUT_S = 10.0
"""Time every gateway replica has to follow weights before their share of the traffic is not looked at, seconds."""


class Pace(NamedTuple):
    """Requests per second, least seconds at a share whose gate is time, and training workers."""

    rate: float
    share_seconds: float
    workers: int


class Story:
    """Train, register, fill the feature store, and release: one version that is good, and two that are broken."""

    def __init__(
        self,
        settings: Settings,
        pace: Pace,
        client: MlflowClient,
        versions: Versions,
        releases: Releases,
        progress: DemoProgress,
    ) -> None:
        self._settings, self._pace, self._client = settings, pace, client
        self._versions, self._releases = versions, releases
        self._progress = progress
        self._names: dict[str, str] = {}
        self._tally = Tally()
        self._timeline = Timeline()

    @property
    def names(self) -> Mapping[str, str]:
        """Version -> what it is, of those of this run."""
        return self._names

    async def tidy(self) -> None:
        """End what an earlier run left under way, so that releases can begin."""
        with self._progress.step("what earlier runs left") as step:
            ended = await end_earlier(self._releases, MODEL, lambda line: self._progress.say(step, line))
            table = await self._versions.read(MODEL)
            carrying = {version: weight for version, weight in (table.weights if table else {}).items() if weight}
            if len(carrying) > 1:
                most = max(carrying, key=lambda version: carrying[version])
                await self._versions.set_weights(MODEL, {most: 1.0})
                self._progress.say(step, f"the traffic was split by hand; version {most} has all of it now")
            elif ended is None:
                self._progress.say(step, f"version {next(iter(carrying))} has the traffic" if carrying else "nothing")

    async def train(self, name: str) -> TrainedVersion:
        """Submit the training of a shipped configuration and wait for the version it registers."""
        entrypoint = f"python -m jobs.train --config flights-{name} --workers {self._pace.workers}"
        with self._progress.step(f"ray job submit -- {entrypoint}") as step:
            result = await submit(self._settings.ray, entrypoint, lambda line: self._progress.say(step, line))
            version, auc = str(result["version"]), result["metrics"]["auc"]
            self._names[version] = name
            self._progress.say(step, f"registered {MODEL} version {version}, test AUC {auc:.3f}")
        return TrainedVersion(name, result)

    async def first(self, training: TrainedVersion) -> Record:
        """Release the version that the story begins with, and remove what earlier runs left beside it."""
        version = str(training.result["version"])
        record = Record(training.name, version, "promoted")
        await self._release(record, plan(FIRST_PLAN))
        if record.end == "promoted":
            await self._versions.set_weights(MODEL, {version: 1.0}, ENTITY)
            table = await self._versions.read(MODEL)
            others = [other for other in (table.apps if table else ()) if other != version]
            if others:
                with self._progress.step(f"versions {', '.join(others)}, left by earlier runs, are removed"):
                    for other in others:
                        await self._versions.down(MODEL, other)
        return record

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

    async def prepare(self) -> tuple[TrainedVersion, EventStore]:
        """Train the first broken version while the feature store is filled: before the traffic, of which a training
        would take the CPUs on a small machine."""
        training = asyncio.create_task(self.train("shuffled"))
        try:
            events = await self.materialize()
            return await training, events
        finally:
            training.cancel()
            await asyncio.wait([training])

    async def release_under_traffic(
        self, static: TrainedVersion, online: TrainedVersion, shuffled: TrainedVersion, events: EventStore
    ) -> ReleasesUnderTraffic:
        """Replay October while one good version and two broken ones are released; each by the same plan."""
        async with AsyncExitStack() as stack:
            with self._progress.step("read the flights of October, and the events before them"):
                requests = await asyncio.to_thread(lambda: list(_requests()))
                features = await stack.enter_async_context(replayed(self._settings, events))
            champion = str(static.result["version"])
            self._timeline.changes.clear()  # what was before the traffic
            self._progress.watch(self._tally, self._timeline, self._names)
            self._weigh(time.time(), {champion: 1.0})
            self._tally.begin({champion: 1.0}, 0.0)
            labels = LabelFeed(f"{self._settings.gateway.url}/feedback", MODEL)
            async with self._traffic(iter(requests), features, labels):
                records = [await self._try_out("online", str(online.result["version"]), "promoted")]
                records.append(await self._try_out("shuffled", str(shuffled.result["version"]), "rolled_back"))
                records.append(await self._try_out("strict", await self._strict(), "rolled_back"))
        return ReleasesUnderTraffic(self._tally, records, features.events, features.rows, labels.counts)

    async def champion(self) -> str | None:
        """Returns the version that holds the alias now."""
        return await asyncio.to_thread(alias, self._client, MODEL, CHAMPION)

    async def _strict(self) -> str:
        """Register a copy of the champion that raises on some flights."""
        champion = await self.champion()
        if champion is None:
            raise StepError(f"{MODEL} has no champion to make a strict copy of")
        with self._progress.step(
            f"version {champion} is packaged anew, to refuse aircraft it has no code for"
        ) as step:
            version = await asyncio.to_thread(register_strict, self._client, MODEL, champion)
            self._names[version] = "strict"
            self._progress.say(step, f"registered {MODEL} version {version}")
        return version

    async def _try_out(self, name: str, version: str, expected: End) -> Record:
        """Release a version by the canary plan while the traffic runs, and return its record."""
        record = Record(name, version, expected)
        await self._release(record, plan(CANARY_PLAN, self._pace.share_seconds))
        return record

    async def _release(self, record: Record, document: Body) -> None:
        """Begin a release and follow it to its end; what the traffic shows of it meanwhile goes into the record."""
        shares = " ".join(f"{step['weight']:.0%}" for step in document["steps"] if step["weight"]) or "at once"
        name = f"POST /releases: version {record.version} ({record.name}), {document['strategy']} {shares}"
        failed = len(self._tally.failures)
        with self._progress.step(name) as step:
            begun = await asyncio.to_thread(self._releases.begin, MODEL, record.version, document)
            record.see(begun)
            if begun["champion"] is not None:
                self._tally.rises.append(Rise(begun["champion"], record.version))
            await follow(
                self._releases,
                record.release,
                RELEASE_TIMEOUT_S,
                lambda why: self._progress.say(step, why),
                lambda state: self._see(record, state),
            )
            record.failed = len(self._tally.failures) - failed
            record.failed_attempts = self._tally.version(record.version).failed_attempts
            if record.end != "promoted":
                record.answered = self._tally.version(record.version).requests
            self._progress.say(step, ended_line(record))

    async def _see(self, record: Record, state: Body) -> None:
        decided = record.decided_at is not None
        record.see(state)
        if record.decided_at is not None and not decided:
            record.answered = self._tally.version(record.version).requests
            if state["state"] != "switching" and self._tally.rise is not None:
                self._tally.rise.until = monotonic(record.decided_at)
        self._progress.release(record)
        weights = state["weights"]
        since = instant(state["since"])
        if weights is None:  # on the way back: given up at once, whatever they are now
            self._tally.close(monotonic(since))
        elif self._weigh(since, weights) or (self._tally.phases and self._tally.phase is None):
            self._tally.close(monotonic(since))
            if await self._versions.await_weights(MODEL, weights, FOLLOW_TIMEOUT_S) and self._tally.phases:
                self._tally.begin(weights, time.time() - since)

    def _weigh(self, at: float, weights: Mapping[str, float]) -> bool:
        """Note the weights in force from an instant on; returns True where they are others than before."""
        return self._timeline.add(at, {version: weight for version, weight in weights.items() if weight})

    @asynccontextmanager
    async def _traffic(
        self, requests: Iterator[ReplayRequest], features: FeatureReplay, labels: LabelFeed
    ) -> AsyncIterator[None]:
        async def advance(at: int) -> None:
            await features.advance(at)
            labels.advance(at)

        def answered(request_id: str, request: ReplayRequest) -> None:
            labels.answered(request_id, request.known, request.label)

        url = f"{self._settings.gateway.url}/v2/models/{MODEL}/infer"
        replay = Replay(url, OUTPUT, requests, self._pace.rate, self._tally, advance, answered, len(VIEWS))
        running = asyncio.create_task(replay.run())
        posting = asyncio.create_task(labels.run())
        try:
            yield
            if running.done():
                await running
                raise StepError("the flights of October ended before the last release; choose a lower --rate")
        finally:
            replay.stop()
            posting.cancel()
            await asyncio.wait([posting])
            await running


def monotonic(at: float) -> float:
    """Returns an instant of the wall clock (seconds since the epoch) on ``time.monotonic``."""
    return at - time.time() + time.monotonic()


def ended_line(record: Record) -> str:
    """Returns a sentence about the end of a release."""
    if record.end == "promoted":
        return f"version {record.version} is champion"
    took = "" if record.seconds_to_decision is None else f" after {record.seconds_to_decision:.1f} s of traffic"
    back = "" if record.seconds_to_followed is None else f", no traffic {record.seconds_to_followed:.1f} s later"
    return (
        f"{plain(record.end)}{took}{back}: {record.answered} answered by it, "
        f"{record.failed_attempts} fell over, {record.failed} failed; {record.state['reason']}"
    )


def _requests() -> Iterator[ReplayRequest]:
    for flight in october("static"):
        inputs = [
            {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
            for name, datatype, value in flight.inputs()
        ]
        yield ReplayRequest(
            json.dumps({"inputs": inputs}).encode(),
            flight.key,
            flight.late,
            flight.scheduled_departure,
            flight.outcome_known,
        )


async def tell(settings: Settings, pace: Pace, progress: DemoProgress, started: float) -> dict[str, Any]:
    """Run the whole story against a running stack and return its summary.

    Args:
        started: when the job began, ``time.monotonic``.

    Raises:
        EXPECTED_FAILURES: a step failed.
    """
    client = await asyncio.to_thread(connect, settings.mlflow)
    with Releases(settings.gateway) as releases:
        async with connected(settings) as versions:
            story = Story(settings, pace, client, versions, releases, progress)
            await story.tidy()
            static = await story.train("static")
            first = await story.first(static)
            if first.end != "promoted":
                raise StepError(f"the story cannot begin: {'; '.join(first.broken())}")
            online = await story.train("online")
            shuffled, events = await story.prepare()
            found = await story.release_under_traffic(static, online, shuffled, events)
            return summarize(
                [static, online, shuffled],
                [first, *found.records],
                found,
                story.names,
                await story.champion(),
                time.monotonic() - started,
            )
