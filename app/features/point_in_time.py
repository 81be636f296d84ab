"""Point-in-time join: for each request, the newest feature row that was known at its instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.features.rolling import FeatureRows, Instants


@dataclass(frozen=True, slots=True)
class Matches:
    """What a join found.

    Attributes:
        row: index into the feature rows; -1 where no row was known or the newest had outlived its ttl.
        age: seconds from the row's event time to the request's instant; -1 where there is no row.
    """

    row: NDArray[np.int64]
    age: NDArray[np.int64]


def latest_rows(entity: NDArray[Any], instant: Instants, rows: FeatureRows, ttl: int) -> Matches:
    """Match each request (entity, instant) with its entity's newest row.

    A row is known from its event time on: one whose event time equals the instant counts, a later one never
    does. It may be used while its age is at most ``ttl`` seconds; a row that has outlived it is missing, and
    no older row takes its place.
    """
    if not len(rows.entity):
        none = np.full(len(entity), -1, dtype=np.int64)
        return Matches(none, none)
    entities, code = np.unique(rows.entity, return_inverse=True)
    asked = np.minimum(np.searchsorted(entities, entity), len(entities) - 1)
    # One number orders (entity, time), so that one binary search serves all entities.
    start = min(rows.event_time.min(), instant.min(initial=rows.event_time[0]))
    span = max(rows.event_time.max(), instant.max(initial=rows.event_time[0])) - start + 1
    known = code * span + (rows.event_time - start)
    found = np.searchsorted(known, asked * span + (instant - start), side="right") - 1
    nearest = np.maximum(found, 0)
    age = instant - rows.event_time[nearest]
    good = (found >= 0) & (entities[asked] == entity) & (code[nearest] == asked) & (age <= ttl)
    return Matches(np.where(good, found, -1), np.where(good, age, -1))
