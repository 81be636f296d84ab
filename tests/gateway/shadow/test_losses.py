"""Losses of a request, for its arm: tables of cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.gateway.inference.call import InferCall
from app.gateway.inference.request_record import RequestRecord
from app.gateway.shadow.losses import arm_of, of_pair, of_request
from app.gateway.trace_context import Identity
from app.monitoring.guards import AgreementGuard, DriftGuard
from app.monitoring.samples import Sample
from app.routing.release_context import OutputMatch, OutputRange, ReleaseContext
from app.web.keys import Caller

CALL = InferCall("m", {}, Caller("c", "c"), Identity("r", "0" * 32, "0" * 16))
TRIAL = ReleaseContext(
    "r", "1", "2", slow_over_s=0.25, drift=OutputRange("y", 0, 10), agreement=OutputMatch("y", 0.5)
)
RANGE = DriftGuard(metric="drift", output="y", low=0, high=10)
PLAIN = ReleaseContext("r", "1", "2")


def record(picked: str | None, version: str | None, **fields: Any) -> RequestRecord:
    """One with the output ``y`` of what ``y`` says, answered in 0.1 s."""
    y = fields.pop("y", 5.0)
    known: dict[str, Any] = {"status": 200 if version else 500, "version_s": 0.1, "release_context": TRIAL}
    known["outputs"] = {"y": np.array([y])} if version else None
    return RequestRecord(CALL, "k", picked=picked, version=version, **(known | fields))


@pytest.mark.parametrize(
    ("found", "arm"),
    [
        (record("1", "1"), "champion"),
        (record("2", "2"), "challenger"),
        (record("2", "1", failed=["2"]), "challenger"),
        (record("2", None, status=503), "challenger"),
        (record("1", None, status=504), "champion"),
        (record("3", "3"), None),
        (record("3", "1", failed=["3"]), None),
        (record(None, "2"), None),  # pinned
        (record("1", None, status=400), None),
        (record("1", None, status=422), None),
        (record("1", None, status=499), None),
        (record("1", "1", cached=True), None),
        (record("2", "1", cached=True, failed=["2"]), "challenger"),  # it was asked, and failed
        (record("2", "1", cached=True), "challenger"),  # its breaker is open
        (record("1", "1", release_context=None), None),
        (record("2", "2", release_context=ReleaseContext("r", None, "2")), None),  # none to be compared with
        (record(None, "2", release_context=ReleaseContext("r", None, "2")), None),
    ],
)
def test_a_request_counts_for_the_arm_that_the_split_picked(found: RequestRecord, arm: str | None) -> None:
    assert arm_of(found) == arm


@pytest.mark.parametrize(
    ("found", "losses"),
    [
        (record("1", "1"), {"errors": 0, "latency": 0, "drift": 0.5}),
        (record("1", "1", version_s=0.26, y=12), {"errors": 0, "latency": 1, "drift": 1}),
        (record("1", "1", version_s=0.0), {"errors": 0, "drift": 0.5}),  # waited for another request's answer
        (record("1", "1", failed=["1"]), {"errors": 1, "latency": 0, "drift": 0.5}),  # a second attempt
        (record("1", "2", failed=["1"]), {"errors": 1}),
        (record("1", "2"), {"errors": 1}),  # never asked: its breaker is open
        (record("1", None, failed=["1", "2"]), {"errors": 1}),
        (record("1", "1", outputs={"z": np.zeros(1)}), {"errors": 0, "latency": 0}),
    ],
)
def test_losses_of_a_request_by_itself(found: RequestRecord, losses: dict[str, float]) -> None:
    assert of_request(TRIAL, found, "champion") == [(metric, "champion", loss) for metric, loss in losses.items()]
    assert of_request(PLAIN, found, "champion") == [("errors", "champion", losses["errors"])]


def pair(metric: str, challenger: float, champion: float) -> list[Sample]:
    return [(metric, "challenger", challenger), (metric, "champion", champion)]


FAILED = record("2", None, failed=["2"])


@pytest.mark.parametrize(
    ("champion", "challenger", "samples"),
    [
        (
            record("1", "1"),
            record("2", "2", y=7.5),
            pair("errors/pairs", 0, 0)
            + pair("latency/pairs", 0, 0)
            + pair("drift/pairs", 0.25, 0)
            + pair("agreement", 1, 0),
        ),
        (
            record("1", "1", version_s=0.3),
            record("2", "2", version_s=0.3, y=2.5),
            pair("errors/pairs", 0, 0)
            + pair("latency/pairs", 0, 0)
            + pair("drift/pairs", 0, 0.25)
            + pair("agreement", 1, 0),
        ),
        (record("1", "1"), FAILED, pair("errors/pairs", 1, 0)),
        (record("1", None, status=504, failed=["1", "1"]), record("2", "2"), pair("errors/pairs", 0, 1)),
        (record("1", "2", failed=["1"]), record("2", "2"), pair("errors/pairs", 0, 1)),
        (record("1", None, status=500), FAILED, pair("errors/pairs", 0, 0)),
    ],
)
def test_losses_of_a_mirrored_pair(champion: RequestRecord, challenger: RequestRecord, samples: list[Sample]) -> None:
    assert of_pair(TRIAL, champion, challenger) == samples
    assert of_pair(PLAIN, champion, challenger) == samples[:2]


def test_a_latency_pair_counts_the_slower_arm() -> None:
    slow, quick = {"version_s": 0.3}, {"version_s": 0.1}
    assert of_pair(TRIAL, record("1", "1", **quick), record("2", "2", **slow))[2:4] == pair("latency/pairs", 1, 0)
    assert of_pair(TRIAL, record("1", "1", **slow), record("2", "2", **quick))[2:4] == pair("latency/pairs", 0, 1)


def objects(*values: Any) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("array", "where"),
    [
        (np.array([2.5]), 0.25),
        (np.array(7), 0.7),
        (np.array([-3.0]), 0.0),
        (np.array([np.inf]), 1.0),
        (np.array([[0.0, 20.0], [2.0, 4.0]]), 0.4),  # cut first, then the mean
        (np.array([1, 3], np.int8), 0.2),
        (np.array([True, False]), 0.05),
        (np.array([5.0, np.nan]), 0.5),
        (np.array([np.nan]), None),
        (np.array([np.nan, np.nan]), None),
        (np.zeros(0), None),
        (objects("a"), None),
    ],
)
def test_the_position_of_an_output_in_its_range(array: NDArray[Any], where: float | None) -> None:
    assert RANGE.position({"y": array}) == where
    assert DriftGuard(metric="drift", output="z").position({"y": array}) is None


@pytest.mark.parametrize(
    ("first", "second", "within", "apart"),
    [
        (np.array([1.0, 2.0]), np.array([1.5, 2.0]), 0.5, False),
        (np.array([1.0, 2.0]), np.array([1.6, 2.0]), 0.5, True),
        (np.array([1.0], np.float32), np.array([1.0]), 0.0, False),
        (np.array([np.nan]), np.array([np.nan]), 0.0, False),
        (np.array([np.nan]), np.array([0.0]), 9.0, True),
        (np.array([0], np.uint8), np.array([255], np.uint8), 1.0, True),
        (np.array([True]), np.array([False]), 0.5, True),
        (np.zeros(2), np.zeros(3), 0.0, True),
        (objects("a", "b"), objects("a", "b"), 0.0, False),
        (objects("a"), objects("b"), 9.0, True),
        (objects("1"), np.array([1]), 9.0, True),
    ],
)
def test_outputs_differ_beyond_the_tolerance(
    first: NDArray[Any], second: NDArray[Any], within: float, apart: bool
) -> None:
    assert AgreementGuard(metric="agreement", output="y", within=within).differ({"y": first}, {"y": second}) is apart
    assert AgreementGuard(metric="agreement", output="y", within=within).differ({"y": first}, {}) is True
    assert AgreementGuard(metric="agreement", output="y", within=within).differ({}, {"y": second}) is None
