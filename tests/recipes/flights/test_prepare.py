"""The arrays of a configuration: what they hold, that they are the same each time, and what training rows fix."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.recipes.flights.columns import column_types
from app.recipes.flights.flights_encoding import Encoder, Encoding, fit
from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe, Prepared, prepare
from app.recipes.flights.replay import ReplayedFlight, october
from app.recipes.flights.table import Table, select


@pytest.mark.parametrize("features", ["static", "online"])
def test_arrays_have_the_shapes_and_types_of_the_columns(features: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(features).data
    for columns, rows in ((data.train, 244_737), (data.test, 82_609)):
        assert {name: (array.dtype.name, len(array)) for name, array in columns.items()} == {
            "categories": ("int64", rows),
            "numbers": ("float32", rows),
            "late": ("float32", rows),
        }
        assert np.isfinite(columns["numbers"]).all()
        assert set(np.unique(columns["late"])) == {0, 1}
    assert data.facts["train_late_share"] == pytest.approx(0.2425, abs=1e-4)
    assert data.facts["test_first"] == "2013-10-01T09:00:00+00:00"


def test_fingerprint_is_the_same_each_time(online: Prepared, static: Prepared) -> None:
    assert prepare("online").data.fingerprint == online.data.fingerprint
    assert static.data.fingerprint != online.data.fingerprint
    assert FlightsRecipe(FlightsConfig(features="static")).prepare().fingerprint == static.data.fingerprint


def test_numbers_are_standardised_by_the_training_rows(online: Prepared) -> None:
    numbers = online.data.train["numbers"][:, : len(online.encoding.numbers)]
    assert np.abs(numbers.mean(axis=0)).max() < 0.1  # clipping and filling move some
    assert numbers.std(axis=0).max() < 1.05


def test_vocabularies_come_from_the_training_rows(online: Prepared, table: Table) -> None:
    training = select(table, table["month"] <= 9)
    names, counts = np.unique(training["tailnum"].astype(str), return_counts=True)
    assert set(online.encoding.vocabularies["tailnum"]) == set(names[counts >= 30]) - {""}
    unknown = online.data.test["categories"][:, 3] == 0
    assert 0.01 < unknown.mean() < 0.5


def test_replayed_requests_give_the_test_arrays(online: Prepared) -> None:
    """The way through JSON and the model's own encoding ends at the same inputs as the way through training."""
    encoder = Encoder(Encoding.from_json(json.loads(json.dumps(online.encoding.as_json()))))
    flights: list[ReplayedFlight] = list(october())
    assert len(flights) == 28_618
    requests = json.loads(json.dumps([flight.columns for flight in flights], allow_nan=False))
    columns = {name: [request[name] for request in requests] for name in column_types("online")}
    categories, numbers = encoder(columns)
    test = online.data.test
    np.testing.assert_array_equal(categories, test["categories"][: len(flights)])
    np.testing.assert_array_equal(numbers, test["numbers"][: len(flights)])
    assert [flight.late for flight in flights] == test["late"][: len(flights)].tolist()


def test_replay_is_in_the_order_of_the_schedule() -> None:
    flights = list(october("static"))
    instants = [flight.scheduled_departure for flight in flights]
    assert instants == sorted(instants)
    assert all(flight.outcome_known > flight.scheduled_departure for flight in flights)
    assert all(flight.key == flight.columns["tailnum"] != "" for flight in flights)
    first = flights[0]
    assert first.scheduled_departure == 1_380_618_000  # 1 October, 5:00 in New York
    assert next(iter(first.inputs())) == ("carrier", "BYTES", "US")
    assert [datatype for _, datatype, _ in first.inputs()] == ["BYTES"] * 5 + ["INT64"] * 4 + ["FP64"] * 3


def test_missing_numbers_in_every_spelling_are_the_training_mean() -> None:
    columns = {"carrier": ["AA"] * 40, "x": [1.0, 3.0] * 20, "y": [1.0] * 39 + [np.nan]}
    encoder = Encoder(fit(columns, ("carrier",), {"x": None, "y": 1.0}))
    spellings: tuple[dict[str, list[float | None]], ...] = ({"x": [None]}, {"x": [np.nan]}, {"x": [np.inf]}, {})
    for spelling in spellings:
        codes, numbers = encoder({"carrier": ["ZZ"], "y": [1.0], **spelling})
        assert codes.tolist() == [[0]]
        np.testing.assert_allclose(numbers, [[0, 0, 0]], atol=1e-12)
    codes, numbers = encoder({"carrier": ["AA"], "x": [3.0]})
    assert codes.tolist() == [[1]]
    np.testing.assert_allclose(numbers, [[1, 0, 1]], atol=1e-12)  # y is missing, as in a training row


def test_shuffled_labels_are_of_the_training_rows_only(static: Prepared) -> None:
    shuffled = FlightsRecipe(FlightsConfig(features="static", shuffled_labels=True)).prepare()
    assert shuffled.fingerprint != static.data.fingerprint
    assert shuffled.train["late"].sum() == static.data.train["late"].sum()
    agreeing = float((shuffled.train["late"] == static.data.train["late"]).mean())
    share = float(static.data.train["late"].mean())
    assert agreeing == pytest.approx(share**2 + (1 - share) ** 2, abs=0.01)  # as by chance
    for name, column in static.data.test.items():
        np.testing.assert_array_equal(shuffled.test[name], column)
