"""From what was read to what a model gets: each feature's values for a request's rows, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import FailedPreconditionError
from app.features.dtypes import COLUMN, Value
from app.features.feature_row import Row
from app.features.view import Feature, MissingPolicy
from app.features.view_rows import OnlineRow, RowStatus, ViewRows


class FeatureRefusedError(FailedPreconditionError):
    """A feature without default is missing; the message names request row, view, status and column."""


@dataclass(frozen=True, slots=True)
class ViewReport:
    """A view's rows by status, and the columns in which some row has the declared default."""

    fresh: int
    stale: int
    missing: int
    defaulted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The features of a request.

    Attributes:
        columns: arrays by name, shape (rows,), of the features' types; text as dtype object.
        views: how each view that was read answered, by name.
    """

    columns: Mapping[str, NDArray[Any]]
    views: Mapping[str, ViewReport]


def resolve(read: Sequence[ViewRows], wanted: Collection[str]) -> Resolution:
    """The wanted columns of the views that were read.

    Only fresh rows give values. Elsewhere, and where a fresh row holds null, a feature has its declared default. A
    view's age column, float64 seconds, is NaN where there is no fresh row, and 0 for a row ahead of our clock.

    Raises:
        FeatureRefusedError: a wanted feature is missing somewhere and has no default.
        ValueError: no view that was read makes a wanted column.
    """
    wanted = frozenset(wanted)
    columns: dict[str, NDArray[Any]] = {}
    views: dict[str, ViewReport] = {}
    for answer in read:
        lines = _fresh_values(answer)
        defaulted = []
        for place, (column, feature) in enumerate(answer.view.columns.items()):
            if column in wanted:
                values = [line[place] for line in lines]
                if None in values:
                    values = _filled(answer, column, feature, values)
                    defaulted.append(column)
                columns[column] = np.array(values, dtype=COLUMN[feature.dtype])
        if answer.view.age in wanted:
            columns[answer.view.age] = _ages(answer)
        statuses = [found.status for found in answer.rows]
        views[answer.view.name] = ViewReport(
            fresh=statuses.count(RowStatus.FRESH),
            stale=statuses.count(RowStatus.STALE),
            missing=statuses.count(RowStatus.MISSING),
            defaulted=tuple(defaulted),
        )
    absent = sorted(wanted - columns.keys())
    if absent:
        known = ", ".join(views) or "none"
        raise ValueError(f"no feature view that was read ({known}) makes {', '.join(absent)}")
    return Resolution(columns, views)


def _fresh_values(answer: ViewRows) -> list[tuple[Value | None, ...]]:
    nothing = (None,) * len(answer.view.features)
    return [nothing if row is None else row.values for row in map(_fresh, answer.rows)]


def _filled(answer: ViewRows, column: str, feature: Feature, values: list[Value | None]) -> list[Value | None]:
    default = feature.when_missing
    if isinstance(default, MissingPolicy):
        row = values.index(None)
        status = answer.rows[row].status
        reason = "holds null there" if status is RowStatus.FRESH else f"is {status}"
        raise FeatureRefusedError(
            f"row {row} of the request: feature view {answer.view.name} {reason}, and {column} has no default"
        )
    return [default if value is None else value for value in values]


def _ages(answer: ViewRows) -> NDArray[np.float64]:
    rows = map(_fresh, answer.rows)
    ages = [np.nan if row is None else max(answer.read_at - row.event_time, 0) / 1_000_000 for row in rows]
    return np.array(ages, dtype=np.float64)


def _fresh(found: OnlineRow) -> Row | None:
    return found.row if found.status is RowStatus.FRESH else None
