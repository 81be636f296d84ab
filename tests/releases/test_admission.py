from __future__ import annotations

from typing import Any

import pytest

from app.model_spec import FieldSpec, ModelSpec
from app.releases.admission import AdmissionError, Candidate, admit
from app.releases.store import LiveReleaseError
from app.releases.trial import trial_of
from app.routing.table import Route, RouteTable
from app.routing.trial import OutputLoss, OutputRange, Trial
from tests.releases.documents import plan


def candidate(version: str = "2", side_effects: bool = False) -> Candidate:
    score = FieldSpec("late_probability", "float64", (-1,))
    return Candidate(version, ModelSpec("flights", version, (), (score,), columns=True), side_effects)


def table(*routes: tuple[str, float], trial: Trial | None = None) -> RouteTable:
    return RouteTable(
        "flights", 7, "salt", routes=tuple(Route(version, f"app-{version}", weight) for version, weight in routes),
        trial=trial,
    )  # fmt: skip


def test_a_release_begins_with_what_is_there() -> None:
    release = admit(candidate(), table(("1", 1.0), ("9", 0.0)), "flights", plan(), 3, "ab12")
    assert (release.champion, release.challenger, release.replicas) == ("1", "2", 3)
    assert release.before == {"1": 1.0, "9": 0.0}
    assert release.history[0].who == "ab12"
    assert [(note.name, note.version, note.number) for note in release.outbox] == [
        ("tidegate.release", "2", 1),
        ("challenger", "2", 2),
    ]
    assert release.notes == 2


@pytest.mark.parametrize("held", [None, table(), table(("9", 0.0))])
def test_a_model_that_nobody_answers_for_has_no_champion(held: RouteTable | None) -> None:
    release = admit(candidate(), held, "flights", plan(), 1, "ab12")
    assert release.champion is None
    assert trial_of(release).champion is None


@pytest.mark.parametrize(
    ("changes", "held", "side_effects", "sentence"),
    [
        ({}, table(("1", 0.5), ("3", 0.5)), False, "the traffic of flights is split"),
        ({}, table(("2", 1.0)), False, "version 2 of flights has all the traffic already"),
        ({"mirror": 0.5}, table(("1", 1.0)), True, "side effects"),
        (
            {"guards": [{"metric": "drift", "output": "price"}]},
            table(("1", 1.0)),
            False,
            r"guards.drift.output 'price': version 2 of flights gives late_probability",
        ),
    ],
)
def test_refusals(changes: dict[str, Any], held: RouteTable, side_effects: bool, sentence: str) -> None:
    with pytest.raises(AdmissionError, match=sentence):
        admit(candidate(side_effects=side_effects), held, "flights", plan(**changes), 1, "ab12")


def test_one_release_of_a_model_at_a_time() -> None:
    with pytest.raises(LiveReleaseError, match="has a release under way: r0"):
        admit(candidate(), table(("1", 1.0), trial=Trial("r0", "1", "3")), "flights", plan(), 1, "ab12")


def test_the_gateway_is_told_what_the_guards_need() -> None:
    guards = [
        {"metric": "latency", "objective": "250ms"},
        {"metric": "quality", "output": "late_probability", "loss": "error", "tolerance": 1.5, "threshold": 0.4},
        {"metric": "drift", "output": "late_probability", "high": 2.0},
    ]
    of = plan(guards=guards, mirror=0.2, pinned=["ab12"])
    trial = trial_of(admit(candidate(), table(("1", 1.0)), "flights", of, 1, "ab12"))
    assert trial.slow_over_s == 0.25
    assert trial.quality == OutputLoss("late_probability", "error", 0.4)
    assert trial.drift == OutputRange("late_probability", 0.0, 2.0)
    assert trial.agreement is None
    assert (trial.mirror, trial.pinned) == (0.2, ("ab12",))
