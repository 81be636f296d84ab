"""Inference, free of any protocol: find the model, pick the version, compute, fail over."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from app.errors import (
    InvalidArgumentError,
    TidegateError,
    UnavailableError,
)
from app.gateway.errors import ModelNotFoundError
from app.gateway.inference.call import InferCall, InferReply
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.inputs import Arrays, fit, fit_parameters
from app.gateway.inference.request_record import RequestRecord
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.prediction_cache import PredictionCache, key_of
from app.model_spec import ModelSpec
from app.routing.attempts import (
    AttemptResult,
    Attempts,
    VersionFailedError,
)
from app.routing.route_table import Route, RouteTable
from app.routing.split import rank
from app.serving.batch import Outputs, VersionMetadata, rows_of
from app.settings import Settings

log = logging.getLogger(__name__)

CLOSED_BY_CALLER = 499
"""Status under which a request is noted whose caller went away before the answer, as in nginx's log."""


class DataPlane:
    """The models as one gateway replica sees them, and inference by them.

    Args:
        tables: route tables by model; the watch keeps them current.
        tables_read: reports if they have been read; until then no model is known to be unknown.
        report: takes the record of every request to a model that is served here, once it is through.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Mapping[str, RouteTable],
        versions: VersionBackends,
        tables_read: Callable[[], bool],
        features: FeatureLookup,
        cache: PredictionCache,
        report: Callable[[RequestRecord], None],
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
        self._inputs: dict[str, tuple[tuple[VersionMetadata | None, ...], frozenset[str] | None]] = {}

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
        if found is not None and self._versions.apply_placements(model, found):
            self._placed[model] = found.revision
        return self._placed.get(model, 0)

    def is_placed(self) -> bool:
        """True where every version of every model is where its table places it."""
        return all(self.placed_revision(model) >= table.revision for model, table in list(self._tables.items()))

    async def infer(self, call: InferCall) -> InferReply:
        """Returns the reply of the version that the split picks, or the pinned one.

        Raises:
            TidegateError: one of the tree in ``errors``.
        """
        table = self.table(call.model)
        record = RequestRecord(call, _key(table, call), release_context=table.release_context)
        started = time.perf_counter()
        try:
            reply = await self._try_versions(table, call, record)
            record.status = 200
            return reply
        except TidegateError as error:
            record.status = error.status
            raise
        except asyncio.CancelledError:
            record.status = CLOSED_BY_CALLER
            raise
        finally:
            record.total_s = time.perf_counter() - started
            try:
                self._report(record)
            except Exception:  # must not stand in for the answer
                log.exception("a request to %s could not be noted down", call.model)

    async def _try_versions(self, table: RouteTable, call: InferCall, record: RequestRecord) -> InferReply:
        if call.pinned is not None:
            ranked = [self._deployed(table, call.pinned)]
        else:
            ranked = rank(table.weights, table.salt, record.sticky)
            record.picked = ranked[0] if ranked else None
        if not ranked:
            raise UnavailableError(f"no version of {call.model} has weight; deployed: {', '.join(table.apps)}")
        try:
            compute = partial(self._attempt, table, call, record)
            answer = await self._attempts_of(table).call(ranked, compute, record.failed)
        except VersionFailedError as error:
            raise type(error)(f"{call.model}: {error}") from error
        route = table.route(answer.version)
        record.version, record.placement, record.weight = answer.version, route.placement, route.weight
        record.outputs = answer.value
        outputs = _chosen(call.model, answer.version, answer.value, call.outputs)
        return InferReply(answer.version, outputs, tuple(record.failed), record.cached, record.features)

    async def _attempt(
        self, table: RouteTable, call: InferCall, record: RequestRecord, version: str
    ) -> AttemptResult[Outputs]:
        """One attempt at one version."""
        route = table.route(version)
        metadata = self._versions.known_metadata(route) or await self._versions.metadata(route)
        spec = metadata.spec
        inputs = fit(spec, call.inputs, self._known_inputs(table), self._settings.gateway.max_rows)
        parameters = fit_parameters(spec, call.parameters)
        record.rows = rows_of(spec, inputs)
        whole: Arrays = inputs
        report = record.features = None
        if spec.feature_views:
            completed = await self._features.complete(spec, inputs)
            whole, report = completed.inputs, completed.report
            record.features = report
        record.spec, record.given = spec, whole

        async def compute() -> Outputs:
            outputs, record.version_s = await self._versions.infer(route, spec, whole, parameters)
            return outputs

        if not metadata.cache_ttl_s or (report is not None and report.degraded):
            return AttemptResult(await compute())
        event_times = report.event_times if report is not None else ()
        key = key_of(call.model, version, route.app, inputs, event_times, parameters)
        answer = await self._cache.get_or_compute(key, metadata.cache_ttl_s, compute)
        record.cached = answer.source != "computed"
        return AttemptResult(answer.outputs, of_version=not record.cached)

    async def spec(self, model: str, version: str | None = None) -> ModelSpec:
        """Returns inputs and outputs of a version; without a version, the one with the most weight that answers.

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
            known = self._versions.known_metadata(route)
            if known is not None:
                return known.spec
            try:
                async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                    return (await self._versions.metadata(route)).spec
            except (VersionFailedError, TimeoutError) as error:
                log.info("%s does not say what it takes: %s", route.app, error)
        silent = ", ".join(route.version for route in routes)
        raise UnavailableError(f"version {silent} of {model} does not answer")

    async def warm_up(self) -> None:
        """Loads what the tables place inline, reads the metadata of every other deployed version, so that no first
        request pays for it, and forgets what is no longer deployed. Versions that do not answer are left for the
        request that needs them."""
        routes = [route for table in self._tables.values() for route in table.routes]
        self._versions.keep_only([route.app for route in routes])
        for table in self._tables.values():
            self._attempts_of(table).forget(list(table.apps))
            self.placed_revision(table.model)
        fresh = [
            route
            for route in routes
            if route.placement == "dedicated" and self._versions.known_metadata(route) is None
        ]
        await asyncio.gather(*(self._try_metadata(route) for route in fresh))

    async def loaded(self, timeout_s: float) -> None:
        """Waits until what the tables place inline is loaded, or failed to, or the time is up."""
        await self._versions.loaded(timeout_s)

    async def close(self) -> None:
        """Closes the way to every version, once the last request is through."""
        await self._versions.close()

    async def _try_metadata(self, route: Route) -> None:
        try:
            async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                await self._versions.metadata(route)
        except (VersionFailedError, TimeoutError) as error:
            log.warning("%s does not say yet what it takes: %s", route.app, error)

    def _known_inputs(self, table: RouteTable) -> frozenset[str] | None:
        """Names that some deployed version takes; None while one has not said what it takes: then none is unknown."""
        known = tuple([self._versions.known_metadata(route) for route in table.routes])
        held = self._inputs.get(table.model)
        if held is not None and held[0] == known:
            return held[1]
        names = frozenset(field.name for metadata in known if metadata is not None for field in metadata.spec.inputs)
        found = None if None in known else names
        self._inputs[table.model] = (known, found)
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
    key = call.attributes.sticky_key
    if key is not None:
        return key
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
