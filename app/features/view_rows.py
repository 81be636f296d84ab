"""Rows of a view as a request asks for them and gets them, whatever store they come from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.features.entity import Entity
from app.features.feature_row import Row
from app.features.view import FeatureView


class RowStatus(StrEnum):
    """Freshness of one entity's row."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class OnlineRow:
    """The row of one entity; ``row`` is None exactly when the status is missing."""

    status: RowStatus
    row: Row | None


MISSING = OnlineRow(RowStatus.MISSING, None)


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """The entities of one view that a request asks for.

    Attributes:
        entities: one a row of the request, repeated at will; None where the request names none.
    """

    view: FeatureView
    entities: Sequence[Entity | None]


@dataclass(frozen=True, slots=True)
class ViewRows:
    """The rows of one view for a request.

    Attributes:
        read_at: instant to which the statuses hold, microseconds since the epoch.
        rows: one for each asked entity, in that order.
        corrupt: keys whose bytes are no row; they count as missing.
        other_schema: keys whose row is of another schema of the view; they count as missing.
    """

    view: FeatureView
    read_at: int
    rows: tuple[OnlineRow, ...]
    corrupt: int
    other_schema: int
