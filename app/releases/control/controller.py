"""The release controller: observes, decides, stores, acts; over and over, for every release under way.

It may be killed at any line: whoever takes the lease next goes on from the stored documents and from what the world
looks like. What may take long (deploying, draining, the registry) is done in tasks, so that an order for the way
back never waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ray.serve.handle import DeploymentHandle
from redis.exceptions import RedisError

from app.errors import NotFoundError, UnavailableError
from app.periodic import Periodic
from app.registry import connect as connect_registry
from app.releases.control.action_executor import ActionExecutor
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.cluster_state import BUSY_S, IDLE_S, ClusterState, ServeUnavailableError, Snapshot
from app.releases.control.evaluation import GuardEvaluation, GuardEvaluator
from app.releases.control.reconciler import Reconciler
from app.releases.control.release_admission import ReleaseAdmissionError, admit, candidate
from app.releases.control.release_metrics import ReleaseMetrics
from app.releases.control.release_store import FencedError, LiveReleaseError, ReleaseStore
from app.releases.lifecycle.machine import decide
from app.releases.lifecycle.observation import Observation, SetWeights, Work
from app.releases.lifecycle.orders import Order
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import Release
from app.releases.model.routing_context import context_of
from app.routing.release_context import ReleaseContext
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteError
from app.settings import Settings

log = logging.getLogger(__name__)

TICK_S = 0.5
"""Interval of looks while nothing calls for one, seconds."""
LEASE_S = 10.0

__all__ = ["Controller", "NotLeadingError", "ReleaseAdmissionError", "UnknownReleaseError"]


class UnknownReleaseError(NotFoundError):
    """There is no release of that id."""


class NotLeadingError(UnavailableError):
    """This controller does not hold the lease: another one does, or Redis is away."""


class Labels(Protocol):
    """The join of labels with predictions of releases under way (``app.monitoring.labels.LabelJoin``)."""

    def join_release(self, model: str, release: ReleaseContext | None) -> None:
        """Joins the labels of a model for its release; with None, for none any more."""


class Controller:
    """Begins releases, takes orders, and brings each release to its end.

    Args:
        owner: name of this controller, never used before.
        store, routes: over clients that the caller closes.
        gateway: gives the gateway's handle.
        evaluator, labels: what the gateway replicas measured, and what came true of it.
    """

    def __init__(
        self,
        settings: Settings,
        owner: str,
        store: ReleaseStore,
        routes: RouteStore,
        gateway: Callable[[], DeploymentHandle[Any]],
        evaluator: GuardEvaluator,
        labels: Labels,
    ) -> None:
        self._settings, self._owner, self._store, self._routes = settings, owner, store, routes
        self._evaluator, self._labels = evaluator, labels
        self._periodic = Periodic(
            "deciding about releases",
            self._run,
            TICK_S,
            expected=(RedisError, OSError, ServeUnavailableError),
            consequence="releases stand still, their traffic does not",
        )
        self._tasks = BackgroundTasks(self._on_task_done)
        self._cluster = ClusterState(routes, gateway, self._tasks)
        self._born = time.time()
        self._token: int | None = None
        self._executor = ActionExecutor(settings, routes, gateway, self._tasks, lambda: self._token or 0)
        self._reconciler = Reconciler(settings, routes, gateway, self._tasks)
        self._metrics = ReleaseMetrics()
        self._live: dict[str, Release] = {}
        self._unsaved: set[str] = set()
        self._doubtful = False  # whether Redis may hold releases that are not held here
        self._deciding = asyncio.Lock()

    def start(self) -> None:
        """Begins, on the running loop."""
        self._periodic.start()

    async def stop(self) -> None:
        """Ends; the releases stay as they are for the controller that takes over."""
        await self._periodic.stop()
        await self._tasks.stop()
        with suppress(RedisError, OSError):
            await self._store.give_up(self._owner)

    @property
    def token(self) -> int | None:
        """The fencing token of the lease that is held now; None while another controller decides."""
        return self._token

    def busy(self) -> frozenset[str]:
        """Models that have a release under way."""
        return frozenset(release.model for release in self._live.values())

    async def begin(
        self, model: str, version: str, plan: ReleasePlan, who: str, mark: str | None = None, since: int | None = None
    ) -> Release:
        """Begins a release, once everything about it has been checked.

        Args:
            version: number or alias in the registry.
            who: id of the key that asks, or ``registry``.
            mark: tag of the version that is to hold the release's id.
            since: fencing token of the lease under which it was seen to be wanted; None for any.

        Raises:
            ReleaseAdmissionError: the plan cannot be honoured for this model and version.
            LiveReleaseError: the model has a release under way.
            NotLeadingError: another controller decides.
            RegistryError: the registry is away; ServeUnavailableError: Serve is.
        """
        held = await self._routes.read(model)
        beside = next((other for other, weight in held.weights.items() if weight), None) if held else None
        found = await asyncio.to_thread(
            lambda: candidate(connect_registry(self._settings.mlflow), model, version, self._settings.serving, beside)
        )
        async with self._deciding:
            token = self._leading()
            if since not in (None, token):
                raise NotLeadingError("another controller has decided meanwhile")
            snapshot = await self._cluster.observe()
            table = snapshot.tables.get(model)
            for live in self._live.values():  # also of one that Redis has lost and is about to be told again
                if live.model == model:
                    raise LiveReleaseError(f"model {model} has a release under way: {live.id}")
            release = admit(found, table, model, plan, snapshot.needed(model), who, mark)
            await self._writing(self._store.create(release, token), release.id)
            self._live[release.id] = release
        self._periodic.wake()
        return release

    async def order(self, release: str, order: Order, who: str) -> Release:
        """Gives a release an order; see ``app.releases.lifecycle.orders``.

        Raises:
            UnknownReleaseError: there is none of that id.
            OrderRefusedError: it cannot take the order where it is.
            NotLeadingError: another controller decides.
        """
        async with self._deciding:
            token = self._leading()
            held = self._live.get(release) or await self._store.read(release)
            if held is None:
                raise UnknownReleaseError(f"there is no release {release}")
            ordered = order.apply(held, who, time.time())
            if ordered is not held:
                await self._writing(self._store.save(held, ordered, token), release)
                self._live[release] = ordered
        self._periodic.wake()
        return ordered

    def _on_task_done(self) -> None:
        self._cluster.changed()
        self._periodic.wake()

    def _leading(self) -> int:
        if self._token is None:
            raise NotLeadingError("this controller does not decide now; ask again in a few seconds")
        return self._token

    async def _writing(self, write: Any, release: str) -> None:
        try:
            await write
        except FencedError as error:
            self._replaced()
            raise NotLeadingError(str(error)) from error
        except (RedisError, OSError):
            # It may have been written all the same. An order that was not confirmed is taken back: what is held here
            # is written over it; a release that was not confirmed is taken up.
            self._unsaved.add(release)
            self._doubtful = True
            self._periodic.wake()
            raise

    def _replaced(self) -> None:
        if self._token is not None:
            log.info("controller %s has been replaced and leads no more", self._owner)
            self._tasks.cancel()  # who leads does the same: two would delete each other's deployments
        self._token = None

    async def _run(self) -> None:
        try:
            await self._lead()
            if self._token is not None:
                await self._turn()
        except (RedisError, OSError):
            self._unsaved.update(self._live)  # a Redis that comes back may have lost its last second
            self._doubtful = True  # and with it the end of a release
            raise
        except (FencedError, NotLeadingError) as error:
            log.warning("%s", error)
            self._replaced()

    async def _lead(self) -> None:
        """Takes or renews the lease; a new one begins with what is stored."""
        token = await self._store.acquire(self._owner, LEASE_S, self._born)
        if token is not None and token != self._token:
            live = await self._store.live()
            self._live = {release.id: release for release in live}
            log.info("controller %s leads with token %d: %d releases under way", self._owner, token, len(live))
            self._doubtful = False
        elif token is not None and self._doubtful:
            async with self._deciding:
                for release in await self._store.live():
                    self._live.setdefault(release.id, release)
                self._doubtful = False
        if token is None:
            self._replaced()
        self._token = token

    async def _turn(self) -> None:
        snapshot = await self._cluster.observe(BUSY_S if self._live else IDLE_S)
        for held in list(self._live.values()):
            try:
                await self._advance(held.id, snapshot)
            except RouteError as error:
                log.warning("release %s: %s", held.id, error)
            except (RedisError, OSError, FencedError, NotLeadingError):
                raise  # of all releases
            except Exception:
                log.exception("a look at release %s failed; the others go on", held.id)
        self._reconciler.reconcile(snapshot, self.busy())
        weights = {model: table.weights for model, table in snapshot.tables.items()}
        self._metrics.publish(self._live.values(), weights, self._evaluator.late)

    async def _advance(self, identity: str, snapshot: Snapshot) -> None:
        async with self._deciding:
            held = self._live[identity]
            evaluation = await self._evaluator.evaluate(held)
            decided = decide(evaluation.release, self._observe(evaluation, snapshot))
            release = decided.release
            if release != held or identity in self._unsaved:
                await self._store.save(held, release, self._leading())
                self._unsaved.discard(identity)
                self._live[identity] = release
            # Under the same lock: an order given meanwhile must not be followed by what was decided before it.
            for action in decided.actions:
                await self._executor.execute(release, action, snapshot.tables.get(release.model))
            if not any(isinstance(action, SetWeights) for action in decided.actions):
                self._executor.written(release)
            else:
                self._periodic.wake()  # whether they are followed is what the release waits for now
        await self._evaluator.after_save(release)
        self._labels.join_release(release.model, None if release.is_final else context_of(release))
        if release.is_final:
            del self._live[identity]
            self._executor.forget(release)
            self._metrics.ended(release)

    def _observe(self, evaluation: GuardEvaluation, snapshot: Snapshot) -> Observation:
        release = evaluation.release
        model = release.model
        table = snapshot.tables.get(model)
        return Observation(
            now=time.time(),
            weights=table.weights if table else {},
            announced=table is not None and table.release_context == context_of(release),
            followed=table is None or self._cluster.followed(table),  # where there is none, no replica is behind
            running=snapshot.running(model),
            inline=snapshot.inline(model),
            apps=snapshot.apps(model) | self._executor.deploying(model),
            failed=self._executor.failed.get(release.id, {}),
            delivered=self._executor.delivered.get(release.id, 0),
            verdict=evaluation.verdict,
            why=evaluation.why,
            counted=evaluation.counted,
            errors=self._errors(release, snapshot),
        )

    def _errors(self, release: Release, snapshot: Snapshot) -> dict[tuple[Work, str], str]:
        """(work, version) -> why that work of a release is not done."""
        replicas: dict[tuple[Work, str], str] = {
            ("replicas", version): message for version, message in snapshot.problems(release.model).items()
        }
        return replicas | self._executor.errors(release)
