"""A request gets the features that it lacks, or a reason; Redis away, and back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from redis.asyncio import Redis

from app.errors import InvalidArgumentError, ModelError
from app.features import OnlineStore, Row, ViewReport, to_document
from app.gateway.errors import FeatureStoreUnavailableError, MissingFeatureError
from app.gateway.inference.feature_lookup import FeatureLookup
from app.model_spec import FieldSpec, ModelSpec
from tests.features.views import BASE, NOW, SECOND, TAIL


def spec(*features: str, views: tuple[Any, ...] = (TAIL, BASE), version: str = "1") -> ModelSpec:
    return ModelSpec(
        model="m",
        version=version,
        inputs=(FieldSpec("tailnum", "str"), *(FieldSpec(name, "float64", required=False) for name in features)),
        outputs=(),
        columns=True,
        features=features,
        feature_views=tuple(map(to_document, views)),
    )


DEFAULTED = spec("tail_last", "tail_age")
REFUSING = spec("tail_last", "base_mean", version="2")


def inputs(*tails: str | None, **more: NDArray[Any]) -> dict[str, NDArray[Any]]:
    rows = len(tails)
    text = {"tailnum": tails, "carrier": ("AA",) * rows, "origin": ("JFK",) * rows}
    return {**{name: np.array(values, dtype=object) for name, values in text.items()}, **more}


@pytest.fixture
async def store(redis: Redis) -> OnlineStore:
    store = OnlineStore(redis, timeout_s=1, clock=lambda: NOW)
    await store.write(TAIL, [(("N1",), Row(NOW - 9 * SECOND, (1.5, 3))), (("N2",), Row(NOW, (2.5, 4)))])
    return store


@pytest.fixture
def lookup(store: OnlineStore) -> FeatureLookup:
    return FeatureLookup(store)


async def test_absent_columns_are_filled_and_sent_ones_kept(lookup: FeatureLookup) -> None:
    asked = inputs("N2", "N9", None, "", "N1")
    found = await lookup.complete(DEFAULTED, asked)
    assert found.inputs["tail_last"].tolist() == [2.5, 0.0, 0.0, 0.0, 1.5]
    np.testing.assert_array_equal(found.inputs["tail_age"], [0, np.nan, np.nan, np.nan, 9])
    assert found.report.views == {"tail": ViewReport(fresh=2, stale=0, missing=3, defaulted=("tail_last",))}
    assert found.report.event_times == (NOW, -1, -1, -1, NOW - 9 * SECOND)
    assert not found.report.degraded
    assert asked.keys() == {"tailnum", "carrier", "origin"}  # the caller's mapping is left alone
    sent = np.full(1, 7.0)
    found = await lookup.complete(DEFAULTED, inputs("N2", tail_last=sent))
    assert found.inputs["tail_last"] is sent
    assert found.inputs["tail_age"].tolist() == [0]


async def test_only_views_with_an_absent_column_are_read(lookup: FeatureLookup, redis: Redis) -> None:
    sent = {"base_mean": np.zeros(1)}
    assert set((await lookup.complete(REFUSING, inputs("N1", **sent))).report.views) == {"tail"}
    before = (await redis.info("commandstats"))["cmdstat_mget"]["calls"]
    found = await lookup.complete(REFUSING, inputs("N1", tail_last=np.zeros(1), **sent))
    assert (found.report.views, found.report.event_times) == ({}, ())
    plain = await lookup.complete(spec(version="3"), inputs("N1"))
    assert set(plain.inputs) == {"tailnum", "carrier", "origin"}
    assert (await redis.info("commandstats"))["cmdstat_mget"]["calls"] == before


async def test_a_missing_feature_without_default_is_refused(lookup: FeatureLookup, store: OnlineStore) -> None:
    message = "model m version 2: row 0 of the request: feature view base is missing, and base_mean has no default"
    with pytest.raises(MissingFeatureError, match=message) as refused:
        await lookup.complete(REFUSING, inputs("N1"))
    assert refused.value.status == 422
    await store.write(BASE, [(("AA", "JFK"), Row(NOW, (0.5, True, "x")))])
    assert (await lookup.complete(REFUSING, inputs("N1"))).inputs["base_mean"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tailnum": np.array([1.5])}, r"model m version 1: feature view tail: entity .* holds 1\.5 \(float\)"),
        ({"tailnum": np.array(["x" * 2000], dtype=object)}, "makes a key of"),
    ],
)
async def test_a_value_that_names_no_entity_is_an_invalid_argument(
    lookup: FeatureLookup, change: dict[str, NDArray[Any]], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await lookup.complete(DEFAULTED, {**inputs("N1"), **change})
    with pytest.raises(InvalidArgumentError, match="feature view tail needs the column tailnum"):
        await lookup.complete(DEFAULTED, {})


async def test_columns_of_unequal_lengths_are_refused_and_two_dimensions_are_read(lookup: FeatureLookup) -> None:
    two = {"tailnum": np.array([["N1"], ["N2"]], dtype=object)}
    assert (await lookup.complete(DEFAULTED, two)).inputs["tail_last"].tolist() == [1.5, 2.5]
    uneven = {**inputs("N1", "N2"), "origin": np.array(["JFK"], dtype=object)}
    with pytest.raises(InvalidArgumentError, match="same number of rows; got tailnum: 2, carrier: 2, origin: 1"):
        await lookup.complete(REFUSING, uneven)


async def test_view_declarations_that_cannot_be_read_are_a_model_error(lookup: FeatureLookup) -> None:
    broken = ModelSpec("m", "4", (), (), columns=True, features=("x",), feature_views=({"name": "x"},))
    with pytest.raises(ModelError, match="version 4 travels with feature views that cannot be read"):
        await lookup.complete(broken, inputs("N1"))


async def test_a_changed_version_of_the_same_name_is_planned_anew(lookup: FeatureLookup) -> None:
    assert "tail_last" in (await lookup.complete(DEFAULTED, inputs("N1"))).inputs
    again = spec("tail_count")
    found = await lookup.complete(again, inputs("N1"))
    assert found.inputs["tail_count"].tolist() == [3]
    assert "tail_last" not in found.inputs


async def test_defaults_stand_in_while_redis_is_away_and_rows_are_read_after_it(
    redis: Redis, lookup: FeatureLookup, store: OnlineStore, valkey_pid: Callable[[], int]
) -> None:
    quick = FeatureLookup(OnlineStore(redis, timeout_s=0.1, clock=lambda: NOW))
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        found = await quick.complete(DEFAULTED, inputs("N1", "N2"))
        assert found.report.degraded
        assert found.inputs["tail_last"].tolist() == [0.0, 0.0]
        assert np.isnan(found.inputs["tail_age"]).all()
        assert found.report.event_times == (-1, -1)
        assert found.report.views["tail"].missing == 2
        with pytest.raises(
            FeatureStoreUnavailableError, match="model m version 2 needs features: the feature store"
        ) as away:
            await quick.complete(REFUSING, inputs("N1"))
        assert (away.value.status, away.value.retry_after_s) == (503, 1)
        assert not (await quick.complete(spec(version="3"), inputs("N1"))).report.degraded  # needs no features
    finally:
        os.kill(pid, signal.SIGCONT)
    back = await lookup.complete(DEFAULTED, inputs("N1"))
    assert not back.report.degraded
    assert back.inputs["tail_last"].tolist() == [1.5]
