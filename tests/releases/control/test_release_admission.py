from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.model_spec import FieldSpec, ModelSpec
from app.registry import UnservableError
from app.releases.control import release_admission
from app.releases.control.release_admission import Candidate, ReleaseAdmissionError, admit
from app.releases.control.release_store import LiveReleaseError
from app.releases.model.routing_context import context_of
from app.routing.release_context import OutputLoss, OutputRange, ReleaseContext
from app.routing.route_table import Route, RouteTable
from tests.releases.documents import plan


def candidate(version: str = "2", side_effects: bool = False) -> Candidate:
    score = FieldSpec("late_probability", "float64", (-1,))
    return Candidate(version, ModelSpec("flights", version, (), (score,), columns=True), side_effects)


def table(*routes: tuple[str, float], release_context: ReleaseContext | None = None) -> RouteTable:
    return RouteTable(
        "flights", 7, "salt", routes=tuple(Route(version, f"app-{version}", weight) for version, weight in routes),
        release_context=release_context,
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
def test_a_model_without_weights_has_no_champion(held: RouteTable | None) -> None:
    release = admit(candidate(), held, "flights", plan(), 1, "ab12")
    assert release.champion is None
    assert context_of(release).champion is None


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
def test_a_release_that_cannot_be_honoured_is_refused(
    changes: dict[str, Any], held: RouteTable, side_effects: bool, sentence: str
) -> None:
    with pytest.raises(ReleaseAdmissionError, match=sentence):
        admit(candidate(side_effects=side_effects), held, "flights", plan(**changes), 1, "ab12")


def test_one_release_of_a_model_at_a_time() -> None:
    with pytest.raises(LiveReleaseError, match="has a release under way: r0"):
        admit(
            candidate(),
            table(("1", 1.0), release_context=ReleaseContext("r0", "1", "3")),
            "flights",
            plan(),
            1,
            "ab12",
        )


def test_the_route_table_carries_what_the_guards_measure() -> None:
    guards = [
        {"metric": "latency", "objective": "250ms"},
        {"metric": "quality", "output": "late_probability", "loss": "error", "tolerance": 1.5, "threshold": 0.4},
        {"metric": "drift", "output": "late_probability", "high": 2.0},
    ]
    of = plan(guards=guards, mirror=0.2, pinned=["ab12"])
    release_context = context_of(admit(candidate(), table(("1", 1.0)), "flights", of, 1, "ab12"))
    assert release_context.slow_over_s == 0.25
    assert release_context.quality == OutputLoss("late_probability", "error", 0.4)
    assert release_context.drift == OutputRange("late_probability", 0.0, 2.0)
    assert release_context.agreement is None
    assert (release_context.mirror, release_context.pinned) == (0.2, ("ab12",))


def test_inputs_that_callers_do_not_send_are_refused() -> None:
    needy = replace(candidate(), new_inputs=("age", "seat"))
    with pytest.raises(
        ReleaseAdmissionError, match="version 2 of flights needs age, seat in the request, which version 1"
    ):
        admit(needy, table(("1", 1.0)), "flights", plan(), 1, "ab12")
    assert admit(needy, None, "flights", plan(), 1, "ab12").champion is None, "a first version may need what it likes"


def spec(version: str, *inputs: str, features: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> ModelSpec:
    fields = tuple(FieldSpec(name, "float64", required=name not in optional) for name in inputs)
    return ModelSpec("flights", version, fields, (), columns=True, features=features)


@pytest.mark.parametrize(
    ("challenger", "new"),
    [
        (spec("2", "x"), ()),
        (spec("2", "x", "age"), ("age",)),
        (spec("2", "x", "age", optional=("age",)), ()),
        (spec("2", "x", "age", features=("age",)), ()),
        (spec("2", "x", "delay"), ("delay",)),  # the champion's is looked up, so callers do not send it
    ],
)
def test_what_a_challenger_needs_beside_what_callers_send(
    monkeypatch: pytest.MonkeyPatch, challenger: ModelSpec, new: tuple[str, ...]
) -> None:
    champion = spec("1", "x", "delay", "note", features=("delay",), optional=("note",))
    monkeypatch.setattr(release_admission, "read_spec", lambda model, version: champion)
    assert release_admission._new_inputs(challenger, "1") == new
    assert release_admission._new_inputs(challenger, None) == ()


def test_a_champion_that_cannot_be_read_does_not_refuse_the_challenger(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(model: str, version: str) -> ModelSpec:
        raise UnservableError("its files are gone")

    monkeypatch.setattr(release_admission, "read_spec", gone)
    assert release_admission._new_inputs(spec("2", "x", "age"), "1") == ()
