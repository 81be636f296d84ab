"""Rows that a request reads online after a replay equal those that training joined for the same instant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from redis.asyncio import Redis

from app.features import DecayedMean, EventStore, FeatureCheckpoint, OnlineStore, Replayer, materialize, to_document
from app.gateway.inference.feature_lookup import FeatureLookup
from app.model_spec import FieldSpec, ModelSpec
from app.recipes.flights.columns import FEATURES, PLAIN
from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe, signature
from app.recipes.flights.table import Table
from app.recipes.flights.views import ENTITIES, VIEWS, events

START = int(pd.Timestamp("2013-10-07", tz="UTC").timestamp())
WEEK = 7 * 86_400
SAMPLE = 500
ROUNDED = {
    f"{view.name}_{name}"
    for view in VIEWS
    for name, feature in view.features.items()
    if isinstance(feature, DecayedMean)
}
"""Columns whose two ways of computing differ by the rounding of 2^x."""


def spec() -> ModelSpec:
    return ModelSpec(
        model="flights",
        version="1",
        inputs=tuple(FieldSpec(column.name or "", "float64") for column in signature("online").inputs),
        outputs=(),
        columns=True,
        features=FEATURES["online"],
        feature_views=tuple(to_document(view.declaration) for view in VIEWS),
    )


async def test_a_replayed_week_is_read_as_it_was_joined(
    redis: Redis, flights: pd.DataFrame, weather: pd.DataFrame, table: Table, tmp_path: Path
) -> None:
    recipe = FlightsRecipe(FlightsConfig())
    offline = EventStore.of(str(tmp_path), recipe.name, recipe.events_version)
    for source, stream in events(flights, weather).items():
        offline.write(source, stream[stream["instant"] <= START + WEEK])
    store = OnlineStore(redis, timeout_s=10)
    checkpoint = FeatureCheckpoint(redis, store, lease_s=600)
    done = await materialize(VIEWS, offline, START, store, checkpoint, replayed=True, report=lambda progress: None)
    assert done.views["origin_arrivals"].written == 3
    replayer = Replayer(VIEWS, offline, START, store, checkpoint)
    await replayer.begin()

    departure = table["scheduled_departure"]
    of_week = np.flatnonzero((departure > START) & (departure <= START + WEEK))
    rows = of_week[np.linspace(0, len(of_week) - 1, SAMPLE).astype(np.int64)]
    lookup, asked = FeatureLookup(store), spec()
    online: dict[str, list[float]] = {name: [] for name in FEATURES["online"]}
    known = 0
    for row in rows:
        known += (await replayer.advance(int(departure[row]))).events
        completed = await lookup.complete(asked, {name: table[name][row : row + 1] for name in PLAIN})
        assert not completed.report.degraded
        for name, values in online.items():
            values.append(completed.inputs[name].item())
    assert known > 15_000
    for name, values in online.items():
        offline_values = table[name][rows]
        assert np.isnan(offline_values).mean() < 0.5, name
        if name in ROUNDED:
            np.testing.assert_allclose(values, offline_values, rtol=1e-12, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(values, offline_values, err_msg=name)
    assert len(rows) == SAMPLE
    assert set(ENTITIES) < set(PLAIN)
