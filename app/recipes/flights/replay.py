"""The flights of October as requests, in the order of their scheduled departures: traffic that really happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.recipes.flights.columns import ColumnType, Features, column_types
from app.recipes.flights.table import flight_table, select

Value = str | int | float | None

OCTOBER = 10
START = int(datetime(2013, OCTOBER, 1, tzinfo=UTC).timestamp())
"""1 October in UTC, seconds since 1970-01-01: an evening in New York, before the first of these flights."""
_DATATYPE: dict[ColumnType, str] = {"string": "BYTES", "long": "INT64", "double": "FP64"}
"""Column type -> datatype of the Open Inference Protocol."""


@dataclass(frozen=True, slots=True)
class ReplayedFlight:
    """A flight's request and what happened.

    Attributes:
        columns: the request by column name; None where a number is missing.
        types: column type by column name.
        key: tail number, the sticky key.
        late: 1 if the flight arrived late, else 0.
        scheduled_departure: the instant of the request, seconds since 1970-01-01 UTC.
        outcome_known: the instant from which ``late`` is known.
    """

    columns: dict[str, Value]
    types: dict[str, ColumnType]
    key: str
    late: int
    scheduled_departure: int
    outcome_known: int

    def inputs(self) -> Iterator[tuple[str, str, Value]]:
        """Name, datatype of the Open Inference Protocol and value of every column."""
        for name, value in self.columns.items():
            yield name, _DATATYPE[self.types[name]], value


def october(features: Features = "online") -> Iterator[ReplayedFlight]:
    """Every October flight with an outcome; ``online`` has all columns that ``static`` has."""
    table = flight_table(features)
    table = select(table, table["month"] == OCTOBER)
    types = column_types(features)
    requests = zip(*(_values(table[name]) for name in types), strict=True)
    outcomes = (table[name].tolist() for name in ("late", "scheduled_departure", "outcome_known"))
    for values, late, asked, known in zip(requests, *outcomes, strict=True):
        request = dict(zip(types, values, strict=True))
        yield ReplayedFlight(request, types, str(request["tailnum"]), late, asked, known)


def _values(column: NDArray[Any]) -> list[Value]:
    values: NDArray[Any] = column.astype(object)
    if column.dtype.kind == "f":
        values[np.isnan(column)] = None
    listed: list[Value] = values.tolist()
    return listed
