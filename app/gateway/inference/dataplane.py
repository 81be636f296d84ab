"""What the gateway does, free of any protocol: find the model, pick the version, ask it, fall over."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from app.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    ModelError,
    OverloadedError,
    TidegateError,
    UnavailableError,
)
from app.gateway.errors import ModelNotFoundError
from app.gateway.inference.call import InferCall, Reply
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.inputs import Arrays, fit, fit_parameters
from app.gateway.inference.request_record import Served
from app.gateway.inference.version_backends import Versions
from app.gateway.prediction_cache import PredictionCache, key_of
from app.model_spec import ModelSpec
from app.routing.attempts import (
    Asked,
    Attempts,
    ModelRaisedError,
    VersionFailedError,
    VersionOverloadedError,
    VersionTimedOutError,
)
from app.routing.route_table import Route, RouteTable
from app.routing.split import rank
from app.serving.batch import Outputs, VersionCard, rows_of
from app.settings import Settings

log = logging.getLogger(__name__)

CLOSED_BY_CALLER = 499
"""Status under which a request is noted whose caller went away before the answer, as in nginx's log."""


class DataPlane:
    """One gateway replica's view of the models and its way of asking them.

    Args:
        tables: route tables by model; the watch keeps them current.
        tables_read: whether they have been read at all; until then nothing is known to be unknown.
        report: told of every request to a model that is served here, once it is through.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Mapping[str, RouteTable],
        versions: Versions,
        tables_read: Callable[[], bool],
        features: FeatureLookup,
        cache: PredictionCache,
        report: Callable[[Served], None],
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._tables_read = tables_read
        self._versions = versions
        self._features = features
        self._cache = cache
        self._report = report
        self._attempts: dict[str, Attempts] = {}
        self._placed: dict[str, int] = {}
        self._inputs: dict[str, tuple[tuple[VersionCard | None, ...], frozenset[str] | None]] = {}

    def models(self) -> list[str]:
        """Models that have a route table."""
        return sorted(self._tables)

    def table(self, model: str) -> RouteTable:
        """A model's route table.

        Raises:
            ModelNotFoundError: it has none.
            UnavailableError: no table has been read yet.
        """
        found = self._tables.get(model)
        if not self._tables_read():
            raise UnavailableError("route tables have not been read yet; Redis does not answer")
        if found is None or not found.routes:
            served = ", ".join(name for name, table in self._tables.items() if table.routes) or "none"
            raise ModelNotFoundError(f"model {model!r} is not served here; served: {served}")
        return found

    def revision(self, model: str) -> int:
        """The revision of the table in force; 0 before the first."""
        found = self._tables.get(model)
        return found.revision if found is not None else 0

    def placed_revision(self, model: str) -> int:
        """The newest revision at which every version was where the table places it; 0 before the first. Begins to
        load what is to be inline."""
        found = self._tables.get(model)
        if found is not None and self._versions.follow(model, found):
            self._placed[model] = found.revision
        return self._placed.get(model, 0)

    def is_placed(self) -> bool:
        """Whether every version of every model is where its table places it."""
        return all(self.placed_revision(model) >= table.revision for model, table in list(self._tables.items()))

    async def infer(self, call: InferCall) -> Reply:
        """Ask the version that the split picks, or the pinned one.

        Raises:
            TidegateError: one of the tree in ``errors``.
        """
        table = self.table(call.model)
        served = Served(call, _key(table, call), trial=table.trial)
        started = time.perf_counter()
        try:
            reply = await self._infer(table, call, served)
            served.status = 200
            return reply
        except TidegateError as error:
            served.status = error.status
            raise
        except asyncio.CancelledError:
            served.status = CLOSED_BY_CALLER
            raise
        finally:
            served.total_s = time.perf_counter() - started
            try:
                self._report(served)
            except Exception:  # must not stand in for the answer
                log.exception("a request to %s could not be noted down", call.model)

    async def _infer(self, table: RouteTable, call: InferCall, served: Served) -> Reply:
        if call.pinned is not None:
            ranked = [self._deployed(table, call.pinned)]
        else:
            ranked = rank(table.weights, table.salt, served.sticky)
            served.picked = ranked[0] if ranked else None
        if not ranked:
            raise UnavailableError(f"no version of {call.model} has weight; deployed: {', '.join(table.apps)}")
        try:
            ask = partial(self._ask, table, call, served)
            answer = await self._attempts_of(table).call(ranked, ask, served.failed)
        except VersionFailedError as error:
            raise as_gateway_error(call.model, error) from error
        route = table.route(answer.version)
        served.version, served.placement, served.weight = answer.version, route.placement, route.weight
        served.outputs = answer.value
        outputs = _chosen(call.model, answer.version, answer.value, call.outputs)
        return Reply(answer.version, outputs, tuple(served.failed), served.cached, served.features)

    async def _ask(self, table: RouteTable, call: InferCall, served: Served, version: str) -> Asked[Outputs]:
        """One attempt at one version."""
        route = table.route(version)
        card = self._versions.known_card(route) or await self._versions.card(route)
        spec = card.spec
        inputs = fit(spec, call.inputs, self._known_inputs(table), self._settings.gateway.max_rows)
        parameters = fit_parameters(spec, call.parameters)
        served.rows = rows_of(spec, inputs)
        whole: Arrays = inputs
        report = served.features = None
        if spec.feature_views:
            completed = await self._features.complete(spec, inputs)
            whole, report = completed.inputs, completed.report
            served.features = report
        served.spec, served.given = spec, whole

        async def ask() -> Outputs:
            outputs, served.version_s = await self._versions.infer(route, spec, whole, parameters)
            return outputs

        if not card.cache_ttl_s or (report is not None and report.degraded):
            return Asked(await ask())
        event_times = report.event_times if report is not None else ()
        key = key_of(call.model, version, route.app, inputs, event_times, parameters)
        answer = await self._cache.get_or_compute(key, card.cache_ttl_s, ask)
        served.cached = answer.source != "computed"
        return Asked(answer.outputs, of_version=not served.cached)

    async def spec(self, model: str, version: str | None = None) -> ModelSpec:
        """What a version takes and gives; without a version, the one with the most weight that answers.

        Raises:
            ModelNotFoundError: model or version is not deployed.
            UnavailableError: the version, or each of them, does not answer.
        """
        table = self.table(model)
        if version is not None:
            routes = [table.route(self._deployed(table, version))]
        else:
            routes = sorted(table.routes, key=lambda route: -route.weight)
        for route in routes:
            known = self._versions.known_card(route)
            if known is not None:
                return known.spec
            try:
                async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                    return (await self._versions.card(route)).spec
            except (VersionFailedError, TimeoutError) as error:
                log.info("%s does not say what it takes: %s", route.app, error)
        silent = ", ".join(route.version for route in routes)
        raise UnavailableError(f"version {silent} of {model} does not answer")

    async def warm_up(self) -> None:
        """Load what the tables place inline, read the card of every other deployed version, so that no first request
        pays for it, and forget what is no longer deployed. Versions that do not answer are left for the request that
        needs them."""
        routes = [route for table in self._tables.values() for route in table.routes]
        self._versions.keep_only([route.app for route in routes])
        for table in self._tables.values():
            self._attempts_of(table).forget(list(table.apps))
            self.placed_revision(table.model)
        fresh = [
            route for route in routes if route.placement == "dedicated" and self._versions.known_card(route) is None
        ]
        await asyncio.gather(*(self._try_card(route) for route in fresh))

    async def loaded(self, timeout_s: float) -> None:
        """Wait until what the tables place inline is loaded, or failed to, or the time is up."""
        await self._versions.loaded(timeout_s)

    async def close(self) -> None:
        """Once the last request is through."""
        await self._versions.close()

    async def _try_card(self, route: Route) -> None:
        try:
            async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                await self._versions.card(route)
        except (VersionFailedError, TimeoutError) as error:
            log.warning("%s does not say yet what it takes: %s", route.app, error)

    def _known_inputs(self, table: RouteTable) -> frozenset[str] | None:
        """Names that some deployed version takes; None while one has not said what it takes: then none is unknown."""
        cards = tuple([self._versions.known_card(route) for route in table.routes])
        held = self._inputs.get(table.model)
        if held is not None and held[0] == cards:
            return held[1]
        names = frozenset(field.name for card in cards if card is not None for field in card.spec.inputs)
        found = None if None in cards else names
        self._inputs[table.model] = (cards, found)
        return found

    def _attempts_of(self, table: RouteTable) -> Attempts:
        found = self._attempts.get(table.model)
        if found is None:
            found = self._attempts[table.model] = Attempts(self._settings.routing)
        return found

    @staticmethod
    def _deployed(table: RouteTable, version: str) -> str:
        if version not in table.apps:
            deployed = ", ".join(table.apps)
            raise ModelNotFoundError(f"version {version!r} of {table.model} is not deployed; deployed: {deployed}")
        return version


def _key(table: RouteTable, call: InferCall) -> str:
    if call.key is not None:
        return call.key
    if table.entity is not None:
        values = call.inputs.get(table.entity)
        if values is None or not values.size:
            raise InvalidArgumentError(
                f"model {table.model} is split by {table.entity!r}: send that input, or a sticky key"
            )
        return str(values.flat[0])
    return uuid.uuid4().hex


def _chosen(model: str, version: str, given: Outputs, wanted: tuple[str, ...]) -> Outputs:
    if not wanted:
        return given
    absent = [name for name in wanted if name not in given]
    if absent:
        raise InvalidArgumentError(
            f"version {version} of {model} has no output {', '.join(map(repr, absent))}; it gives {', '.join(given)}"
        )
    return {name: given[name] for name in wanted}


def as_gateway_error(model: str, error: VersionFailedError) -> TidegateError:
    """What a caller is told of a version's failure."""
    match error:
        case ModelRaisedError():
            return ModelError(f"{model}: {error}")
        case VersionOverloadedError():
            return OverloadedError(f"{model}: {error}")
        case VersionTimedOutError():
            return DeadlineExceededError(f"{model}: {error}")
        case _:
            return UnavailableError(f"{model}: {error}")
