"""Point-in-time join: for each request, the newest feature row that was known at its instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features.aggregations import Floats, Instants
from app.features.rolling import FeatureRows


@dataclass(frozen=True, slots=True)
class Matches:
    """What a join found.

    Attributes:
        row: index into the feature rows; -1 where no row was known, or the newest had outlived its ttl.
        age: seconds from the row's event time to the request's instant; -1 where there is no row.
    """

    row: NDArray[np.int64]
    age: NDArray[np.int64]

    def take(self, values: Floats) -> Floats:
        """A feature's values for the requests; NaN where there is no row."""
        if not len(values):
            return np.full(len(self.row), np.nan)
        return np.where(self.row >= 0, values[self.row], np.nan)

    def ages(self) -> Floats:
        """Ages as a feature; NaN where there is no row."""
        return np.where(self.row >= 0, self.age.astype(np.float64), np.nan)


def latest_rows(entity: NDArray[Any], instant: Instants, rows: FeatureRows, ttl: int) -> Matches:
    """Match each request (entity, instant) with its entity's newest row.

    A row is known from its event time on: one whose event time equals the instant counts, a later one never does.
    It may be used while its age is at most ``ttl`` seconds; where the newest has outlived it, none is used.
    """
    if not len(rows.entity) or not len(entity):
        none = np.full(len(entity), -1, dtype=np.int64)
        return Matches(none, none)
    entities, code = np.unique(rows.entity, return_inverse=True)
    asked = np.minimum(np.searchsorted(entities, entity), len(entities) - 1)
    # One number orders (entity, time), so that one binary search serves all entities.
    start = min(rows.event_time.min(), instant.min())
    stretch = max(rows.event_time.max(), instant.max()) - start + 1
    known = code * stretch + (rows.event_time - start)
    found = np.searchsorted(known, asked * stretch + (instant - start), side="right") - 1
    newest = np.maximum(found, 0)
    age = instant - rows.event_time[newest]
    good = (found >= 0) & (entities[asked] == entity) & (code[newest] == asked) & (age <= ttl)
    return Matches(np.where(good, found, -1), np.where(good, age, -1))
