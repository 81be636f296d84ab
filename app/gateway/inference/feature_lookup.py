"""The features of a request: one read of all views that the version takes, and defaults while Redis is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from app.errors import InvalidArgumentError, ModelError
from app.features import (
    Catalog,
    EntityError,
    FeatureRefusedError,
    FeatureStoreError,
    FeatureView,
    OnlineRow,
    OnlineStore,
    Resolution,
    RowStatus,
    ViewReport,
    ViewRequest,
    ViewRows,
    entities,
    from_document,
    resolve,
)
from app.gateway.errors import FeatureStoreUnavailableError, MissingFeatureError
from app.model_spec import ModelSpec

Arrays = Mapping[str, NDArray[Any]]

ABSENT = -1
"""Event time of a row that is missing or stale."""
_MISSING = OnlineRow(RowStatus.MISSING, None)


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """Origin of a request's features.

    Attributes:
        views: how each view that was asked answered, by name.
        event_times: of every row that was used, view by view and row by row, microseconds since the epoch; -1 where
            there is none. With equal inputs and event times only the ages of the rows differ.
        degraded: Redis gave no answer, and declared defaults stand in.
    """

    views: Mapping[str, ViewReport]
    event_times: tuple[int, ...]
    degraded: bool


@dataclass(frozen=True, slots=True)
class Completed:
    """A request's own inputs and the feature columns that it lacked."""

    inputs: dict[str, NDArray[Any]]
    report: FeatureReport


@dataclass(frozen=True, slots=True)
class _LookupPlan:
    """The feature columns that a version takes, by view."""

    spec: ModelSpec
    columns: tuple[tuple[FeatureView, tuple[str, ...]], ...]


class FeatureLookup:
    """Completes requests from the online store. The views of a version are worked out once."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self._plans: dict[tuple[str, str], _LookupPlan] = {}

    async def complete(self, spec: ModelSpec, inputs: Arrays) -> Completed:
        """The inputs with the feature columns that they lack; a column that the caller sent is taken as sent.

        Args:
            inputs: columns of equal length, shape (rows,) or (rows, 1), text as dtype object.

        Raises:
            InvalidArgumentError: a column that names an entity is not there, or holds what cannot name one.
            MissingFeatureError: a feature without default is missing.
            FeatureStoreUnavailableError: Redis gave no answer, and an absent feature has no default.
            ModelError: the version's view declarations cannot be read.
        """
        asked = [
            (view, absent)
            for view, columns in self._plan(spec).columns
            if (absent := tuple(column for column in columns if column not in inputs))
        ]
        if not asked:
            return Completed(dict(inputs), FeatureReport({}, (), degraded=False))
        wanted = [column for _, columns in asked for column in columns]
        requests = _requests(spec, [view for view, _ in asked], inputs)
        try:
            read = await self._store.read(requests)
        except EntityError as error:
            raise InvalidArgumentError(f"{_named(spec)}: {error}") from None
        except FeatureStoreError as error:
            return _without(spec, inputs, requests, wanted, error)
        try:
            found = resolve(read, wanted)
        except FeatureRefusedError as error:
            raise MissingFeatureError(f"{_named(spec)}: {error}") from None
        times = tuple(_event_time(row) for answer in read for row in answer.rows)
        return _completed(inputs, found, times, degraded=False)

    def _plan(self, spec: ModelSpec) -> _LookupPlan:
        found = self._plans.get((spec.model, spec.version))
        if found is None or (found.spec is not spec and found.spec != spec):
            found = self._plans[spec.model, spec.version] = _plan(spec)
        return found


def _plan(spec: ModelSpec) -> _LookupPlan:
    try:
        views = Catalog(tuple(map(from_document, spec.feature_views))).views
    except ValueError as error:
        raise ModelError(f"{_named(spec)} travels with feature views that cannot be read: {error}") from None
    features = frozenset(spec.features)
    chosen = ((view, tuple(name for name in (*view.columns, view.age) if name in features)) for view in views)
    return _LookupPlan(spec, tuple((view, columns) for view, columns in chosen if columns))


def _requests(spec: ModelSpec, views: list[FeatureView], inputs: Arrays) -> list[ViewRequest]:
    names = dict.fromkeys(name for view in views for name in view.entity)
    columns = {name: inputs[name].reshape(-1) for name in names if name in inputs}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {count}" for name, count in lengths.items())
        raise InvalidArgumentError(f"columns of {_named(spec)} must have the same number of rows; got {shown}")
    try:
        return [ViewRequest(view, entities(view, columns)) for view in views]
    except EntityError as error:
        raise InvalidArgumentError(f"{_named(spec)}: {error}") from None


def _without(
    spec: ModelSpec, inputs: Arrays, requests: list[ViewRequest], wanted: list[str], away: FeatureStoreError
) -> Completed:
    """Completes a request by the declared defaults."""
    nothing = [ViewRows(of.view, 0, (_MISSING,) * len(of.entities), corrupt=0, other_schema=0) for of in requests]
    try:
        found = resolve(nothing, wanted)
    except FeatureRefusedError as error:
        raise FeatureStoreUnavailableError(f"{_named(spec)} needs features: {away} ({error})") from away
    return _completed(inputs, found, (ABSENT,) * sum(len(of.entities) for of in requests), degraded=True)


def _completed(inputs: Arrays, found: Resolution, times: tuple[int, ...], degraded: bool) -> Completed:
    return Completed({**inputs, **found.columns}, FeatureReport(found.views, times, degraded))


def _event_time(found: OnlineRow) -> int:
    return found.row.event_time if found.status is RowStatus.FRESH and found.row is not None else ABSENT


def _named(spec: ModelSpec) -> str:
    return f"model {spec.model} version {spec.version}"
