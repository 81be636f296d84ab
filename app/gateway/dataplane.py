"""What the gateway does, free of any protocol: find the model, pick the version, ask it, fall over."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from app.gateway.errors import (
    BrokenModelError,
    InputError,
    LateAnswerError,
    NoAnswerError,
    TooBusyError,
    UnknownModelError,
)
from app.gateway.inputs import Arrays, fit
from app.registry import ModelSpec
from app.routing.attempts import Attempts, ModelFailedError, OverloadedError, TimedOutError, VersionFailedError
from app.routing.split import rank
from app.routing.table import RouteTable
from app.settings import Settings

log = logging.getLogger(__name__)


class VersionPool(Protocol):
    """How the data plane reaches versions (``app.gateway.versions`` in production)."""

    def known_spec(self, app: str) -> ModelSpec | None:
        """The specification, if it has been read before."""

    async def spec(self, app: str) -> ModelSpec:
        """What the version behind ``app`` takes and gives."""

    async def infer(self, app: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Its outputs."""

    def keep_only(self, apps: Collection[str]) -> None:
        """Forget every other application."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Outputs, the version that gave them, and the versions that failed before it."""

    version: str
    outputs: dict[str, NDArray[Any]]
    failed: tuple[str, ...]


class DataPlane:
    """One gateway replica's view of the models and its way of asking them.

    Args:
        tables: route tables by model; the watch keeps them current.
        tables_read: whether they have been read at all; until then nothing is known to be unknown.
    """

    def __init__(
        self,
        settings: Settings,
        tables: Mapping[str, RouteTable],
        versions: VersionPool,
        tables_read: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._tables_read = tables_read
        self._versions = versions
        self._attempts: dict[str, Attempts] = {}

    def models(self) -> list[str]:
        """Models that have a route table."""
        return sorted(self._tables)

    def table(self, model: str) -> RouteTable:
        """A model's route table.

        Raises:
            UnknownModelError: it has none.
            NoAnswerError: no table has been read yet.
        """
        found = self._tables.get(model)
        if not self._tables_read():
            raise NoAnswerError("route tables have not been read yet; Redis does not answer")
        if found is None or not found.routes:
            served = ", ".join(name for name, table in self._tables.items() if table.routes) or "none"
            raise UnknownModelError(f"model {model!r} is not served here; served: {served}")
        return found

    def revision(self, model: str) -> int:
        """The revision in force; 0 before the first."""
        found = self._tables.get(model)
        return found.revision if found else 0

    async def infer(
        self,
        model: str,
        inputs: Arrays,
        *,
        pinned: str | None = None,
        key: str | None = None,
        outputs: tuple[str, ...] = (),
    ) -> Reply:
        """Ask the version that the split picks, or the pinned one.

        Args:
            inputs: arrays by input name.
            pinned: a deployed version that must answer, with weight or without; no other one will.
            key: the caller's sticky key; without it the entity of the first row counts, else a fresh one.
            outputs: the outputs wanted; empty for all.

        Raises:
            GatewayError: one of the tree in ``errors``.
        """
        table = self.table(model)
        ranked = (
            [self._deployed(table, pinned)] if pinned else rank(table.weights, table.salt, _key(table, inputs, key))
        )
        if not ranked:
            raise NoAnswerError(f"no version of {model} has weight; deployed: {', '.join(table.apps)}")

        async def ask(version: str) -> dict[str, NDArray[Any]]:
            app = table.apps[version]
            spec = await self._versions.spec(app)
            fitted = fit(spec, inputs, self._known_inputs(table, spec, inputs), self._settings.gateway.max_rows)
            return await self._versions.infer(app, fitted)

        try:
            answer = await self._attempts_of(table).call(ranked, ask)
        except VersionFailedError as error:
            raise _as_gateway_error(model, error) from error
        return Reply(answer.version, _chosen(model, answer.version, answer.value, outputs), answer.failed)

    async def spec(self, model: str, version: str | None = None) -> ModelSpec:
        """What a version takes and gives; without a version, the one with the most weight.

        Raises:
            UnknownModelError: model or version is not deployed.
            NoAnswerError: the version does not answer.
        """
        table = self.table(model)
        wanted = version or max(table.routes, key=lambda route: route.weight).version
        app = table.apps[self._deployed(table, wanted)]
        try:
            async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                return await self._versions.spec(app)
        except (VersionFailedError, TimeoutError) as error:
            raise NoAnswerError(f"version {wanted} of {model} does not answer") from error

    async def warm_up(self) -> None:
        """Read the specification of every deployed version, so that no first request pays for it, and forget what
        is no longer deployed. Versions that do not answer are left for the request that needs them."""
        apps = [app for table in self._tables.values() for app in table.apps.values()]
        self._versions.keep_only(apps)
        for table in self._tables.values():
            self._attempts_of(table).forget(list(table.apps))
        fresh = [app for app in apps if self._versions.known_spec(app) is None]
        await asyncio.gather(*(self._try_spec(app) for app in fresh))

    async def _try_spec(self, app: str) -> None:
        try:
            async with asyncio.timeout(self._settings.routing.attempt_timeout_s):
                await self._versions.spec(app)
        except (VersionFailedError, TimeoutError) as error:
            log.warning("%s does not say yet what it takes: %s", app, error)

    def _known_inputs(self, table: RouteTable, spec: ModelSpec, inputs: Arrays) -> set[str]:
        """Names that some deployed version takes. While one has not said what it takes, no name is unknown."""
        specs = [self._versions.known_spec(app) for app in table.apps.values()]
        if None in specs:
            return set(inputs)
        return {field.name for found in (spec, *specs) if found for field in found.inputs}

    def _attempts_of(self, table: RouteTable) -> Attempts:
        found = self._attempts.get(table.model)
        if found is None:
            found = self._attempts[table.model] = Attempts(self._settings.routing)
        return found

    @staticmethod
    def _deployed(table: RouteTable, version: str) -> str:
        if version not in table.apps:
            deployed = ", ".join(table.apps)
            raise UnknownModelError(f"version {version!r} of {table.model} is not deployed; deployed: {deployed}")
        return version


def _key(table: RouteTable, inputs: Arrays, key: str | None) -> str:
    if key is not None:
        return key
    if table.entity is not None:
        values = inputs.get(table.entity)
        if values is None or not values.size:
            raise InputError(f"model {table.model} is split by {table.entity!r}: send that input, or a sticky key")
        return str(values.flat[0])
    return uuid.uuid4().hex


def _chosen(
    model: str, version: str, given: dict[str, NDArray[Any]], wanted: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    if not wanted:
        return given
    absent = [name for name in wanted if name not in given]
    if absent:
        raise InputError(
            f"version {version} of {model} has no output {', '.join(map(repr, absent))}; it gives {', '.join(given)}"
        )
    return {name: given[name] for name in wanted}


def _as_gateway_error(model: str, error: VersionFailedError) -> Exception:
    match error:
        case ModelFailedError():
            return BrokenModelError(f"{model}: {error}")
        case OverloadedError():
            return TooBusyError(f"{model}: {error}")
        case TimedOutError():
            return LateAnswerError(f"{model}: {error}")
        case _:
            return NoAnswerError(f"{model}: {error}")
