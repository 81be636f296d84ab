"""Point-in-time join: what was known of each request's entities at its instant, for training.

Each view's rows are computed from its events, and each request gets its entity's newest row of that instant or
before, unless that row has outlived the view's ttl: then it gets nothing, as online. On a connected Ray cluster
requests of more than a block are joined block by block, elsewhere at once; the result is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import ray

from app.features.catalog import Catalog
from app.features.entity_codes import entity_codes
from app.features.rolling import INSTANT, EventTable, RollingView, batch_rows

BLOCK_ROWS = 500_000
"""Requests that are joined together. Ray Data takes ten seconds to begin, and one process joins so many in less."""
_ENTITY, _EVENT_TIME, _PLACE = "_entity", "_event_time", "_place"


def training_set(
    requests: pd.DataFrame, views: Collection[RollingView], events: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Every column of the views for every request, float64, NaN where nothing was known; in the requests' order.

    Args:
        requests: entity columns, and ``instant`` (int64, whole seconds) of each.
        events: by source: entity columns, ``instant`` and float64 values.

    Raises:
        ValueError: a table lacks a column, a source is missing, or the views contradict each other.
    """
    Catalog(tuple(view.declaration for view in views))
    asked, rows = _coded(requests, views, events)
    asked[_PLACE] = np.arange(len(asked))
    asked = asked.sort_values(INSTANT, kind="stable", ignore_index=True)
    spread = ray.is_initialized() and len(asked) > BLOCK_ROWS  # one block gains nothing by travelling
    joined = (_on_ray if spread else joined_block)(asked, views, rows)
    return joined.sort_values(_PLACE, ignore_index=True).drop(columns=_PLACE)


def joined_block(
    asked: pd.DataFrame, views: Collection[RollingView], rows: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """One block's columns: all of the views, and the requests' places."""
    found = {_PLACE: asked[_PLACE].to_numpy()}
    for view in views:
        block = asked[[INSTANT, _key(view.entity)]].rename(columns={_key(view.entity): _ENTITY})
        joined = point_in_time_join(block, rows[view.name], view.ttl)
        found |= {f"{view.name}_{feature}": joined[feature].to_numpy() for feature in view.features}
        found[view.age] = (joined[INSTANT] - joined[_EVENT_TIME]).to_numpy(np.float64)
    return pd.DataFrame(found)


def point_in_time_join(asked: pd.DataFrame, rows: pd.DataFrame, ttl: int) -> pd.DataFrame:
    """The newest row of each request's entity, at most ``ttl`` seconds old; of equal event times the last.

    Args:
        asked: ``instant`` and ``_entity`` (int64), ordered by instant.
        rows: ``_event_time`` and ``_entity`` (int64) and features, ordered by event time.
    """
    # Rows that no request of this block may see are left out before they are sorted by entity.
    times = rows[_EVENT_TIME].to_numpy()
    if len(asked):
        first, last = int(asked[INSTANT].iloc[0]), int(asked[INSTANT].iloc[-1])
        rows = rows.iloc[np.searchsorted(times, first - ttl) : np.searchsorted(times, last, side="right")]
    return pd.merge_asof(
        asked, rows, left_on=INSTANT, right_on=_EVENT_TIME, by=_ENTITY, tolerance=ttl, allow_exact_matches=True
    )


def _coded(
    requests: pd.DataFrame, views: Collection[RollingView], events: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The requests' instants and entities, and each view's rows by its name, entities as numbers."""
    absent = sorted({view.source for view in views} - events.keys())
    if absent:
        raise ValueError(f"no events of {', '.join(absent)}; there are {', '.join(events) or 'none'}")
    asked: dict[str, Any] = {INSTANT: requests[INSTANT].to_numpy(np.int64)}
    rows: dict[str, pd.DataFrame] = {}
    for entity in dict.fromkeys(view.entity for view in views):
        of_entity = [view for view in views if view.entity == entity]
        sources = list(dict.fromkeys(view.source for view in of_entity))
        asked[_key(entity)], *codes = entity_codes([requests, *(events[source] for source in sources)], entity)
        for view in of_entity:
            rows[view.name] = _rows(view, codes[sources.index(view.source)], events[view.source])
    return pd.DataFrame(asked), rows


def _rows(view: RollingView, code: Any, events: pd.DataFrame) -> pd.DataFrame:
    log = event_table(code, events, view)
    found = batch_rows(view, log)
    order = np.argsort(found.event_time, kind="stable")
    columns = {_ENTITY: found.entity, _EVENT_TIME: found.event_time, **found.values}
    return pd.DataFrame({name: column[order] for name, column in columns.items()}, copy=False)


def event_table(code: Any, events: pd.DataFrame, view: RollingView) -> EventTable:
    """A view's events, by the numbers of their entities; those of no entity are left out."""
    named = code >= 0
    values = [str(name) for name in events if name != INSTANT and pd.api.types.is_float_dtype(events[name].dtype)]
    return EventTable(
        code[named],
        events[INSTANT].to_numpy(np.int64)[named],
        {name: events[name].to_numpy(np.float64)[named] for name in values if name not in view.entity},
    )


def _key(entity: Sequence[str]) -> str:
    return f"{_ENTITY}:{':'.join(entity)}"


def _on_ray(asked: pd.DataFrame, views: Collection[RollingView], rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    from ray import data  # Ray Data takes a second to import, and a process without a cluster does not need it

    data.DataContext.get_current().enable_progress_bars = False
    blocks = [asked.iloc[start : start + BLOCK_ROWS] for start in range(0, len(asked), BLOCK_ROWS)]
    shared = ray.put(rows)

    def join(block: pd.DataFrame) -> pd.DataFrame:
        return joined_block(block, views, ray.get(shared))

    joined: pd.DataFrame = (
        data.from_pandas(blocks).map_batches(cast(Any, join), batch_format="pandas", batch_size=None).to_pandas()
    )
    # Ray Data hands out Arrow's types, with null for NaN.
    places = joined[_PLACE].to_numpy(np.int64)
    columns = {name: joined[name].to_numpy(np.float64, na_value=np.nan) for view in views for name in view.columns}
    return pd.DataFrame({_PLACE: places, **columns})
