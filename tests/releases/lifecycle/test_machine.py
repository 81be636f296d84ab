from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.errors import InvalidArgumentError
from app.releases.lifecycle.machine import decide
from app.releases.lifecycle.observation import (
    Deliver,
    Deploy,
    MoveInline,
    Observation,
    ReserveCapacity,
    SetWeights,
    TakeDown,
    Work,
)
from app.releases.lifecycle.orders import OrderRefusedError
from app.releases.model.release import Note, Release
from tests.releases.documents import ordered, plan, release

READY = Observation(
    now=100.0, weights={"1": 1.0, "2": 0.0}, announced=True, followed=True, running={"1": 2, "2": 2}, delivered=99
)


def at(phase: str, **changes: Any) -> Release:
    return release(phase=phase, **changes)


def seen(**changes: Any) -> Observation:
    return replace(READY, **changes)


def shares(challenger: float) -> dict[str, float]:
    return {"1": 1.0 - challenger, "2": challenger}


AT_TENTH = {"weights": shares(0.1)}
AT_HALF = {"weights": shares(0.5)}
AT_ALL = {"weights": shares(1.0)}
STEP_0 = {"followed_since": 50.0}
STEP_1 = {"step": 1, "followed_since": 50.0, "counted": 1000}
INLINE = {"inline": True, "since": 100.0}
LEFT: dict[str, Any] = {"weights": {"2": 1.0}, "announced": False}
MOVING: dict[str, Any] = {"apps": frozenset({"2"}), "inline": frozenset({"2"})}
BACK = {"ending": "rolled_back", "reason": "errors", "since": 99.0}


@pytest.mark.parametrize(
    ("held", "observed", "phase", "step"),
    [
        # forward
        (at("preparing"), seen(weights={"1": 1.0}, running={"1": 2}), "preparing", 0),
        (at("preparing"), seen(followed=False), "preparing", 0),
        (at("preparing"), seen(announced=False), "preparing", 0),
        (at("preparing"), seen(), "step", 0),
        (at("preparing"), seen(failed={"2": "no such file"}), "removing", 0),
        (at("preparing", champion=None, before={}), seen(weights={"2": 0.0}), "switching", 0),
        (at("step"), seen(), "step", 0),
        (at("step"), seen(**AT_TENTH, followed=False), "step", 0),
        (at("step", **STEP_0), seen(**AT_TENTH, now=59.0), "step", 0),
        (at("step", **STEP_0), seen(**AT_TENTH, now=60.0), "step", 1),
        (at("step", **STEP_0, paused=True), seen(**AT_TENTH), "step", 0),
        (at("step", **STEP_0, approved=True), seen(**AT_TENTH, now=51.0), "step", 1),
        (at("step", **STEP_0), seen(**AT_TENTH, verdict="fail"), "restoring", 0),
        (at("step", **STEP_0, paused=True), seen(**AT_TENTH, verdict="fail"), "restoring", 0),
        (at("step", **STEP_0), seen(**AT_TENTH, failed={"2": "gone"}), "restoring", 0),
        # the judge's gate
        (at("step", **STEP_1), seen(**AT_HALF, verdict="undecided", counted=9999), "step", 1),
        (at("step", **STEP_1), seen(**AT_HALF, verdict="pass", counted=1099), "step", 1),
        (at("step", **STEP_1), seen(**AT_HALF, verdict="pass", counted=1100), "switching", 1),
        (
            at("step", **STEP_1, plan=plan(promotion="confirmed")),
            seen(**AT_HALF, verdict="pass", counted=1100),
            "confirming",
            1,
        ),
        (at("confirming"), seen(**AT_HALF, verdict="fail"), "restoring", 0),
        # the end
        (at("switching"), seen(**AT_HALF), "switching", 0),
        (at("switching"), seen(**AT_ALL, running={"1": 2, "2": 1}), "switching", 0),
        (at("switching", since=10.0), seen(**AT_ALL), "settling", 0),
        (at("switching"), seen(**AT_HALF, verdict="fail"), "restoring", 0),
        (at("settling", since=70.0), seen(**AT_ALL, verdict="fail"), "restoring", 0),
        (at("settling", since=71.0), seen(**AT_ALL), "settling", 0),
        (at("settling", since=70.0), seen(**AT_ALL), "committing", 0),
        (at("committing", outbox=(Note(kind="alias", name="champion", version="2", number=100),)), seen(**AT_ALL),
         "committing", 0),
        (at("committing"), seen(**AT_ALL), "retiring", 0),
        (at("retiring"), seen(weights={"2": 1.0, "1": 0.0}, announced=False), "retiring", 0),
        (at("retiring"), seen(weights={"2": 1.0}, announced=False), "promoted", 0),
        # inline
        (at("retiring", **INLINE), seen(**LEFT, apps=frozenset({"2"})), "retiring", 0),
        (at("retiring", **INLINE), seen(**LEFT, **MOVING), "retiring", 0),
        (at("retiring", **INLINE), seen(**LEFT, inline=frozenset({"2"})), "promoted", 0),
        (at("retiring", **INLINE), seen(**LEFT, apps=frozenset({"2"}), now=279.0), "retiring", 0),
        (at("retiring", **INLINE), seen(**LEFT, apps=frozenset({"2"}), now=280.0), "promoted", 0),
        (at("retiring", **INLINE), seen(**LEFT, **MOVING, now=280.0), "promoted", 0),
        # back
        (at("restoring", **BACK), seen(**AT_HALF), "restoring", 0),
        (at("restoring", **BACK), seen(followed=False), "restoring", 0),
        (at("restoring", **BACK), seen(), "removing", 0),
        (at("removing", **BACK), seen(announced=False), "removing", 0),
        (at("removing", **BACK), seen(weights={"1": 1.0}, announced=False), "rolled_back", 0),
        # of a first version that never came up: no table, so no replica has one to follow
        (at("restoring", **BACK, champion=None, before={}), seen(weights={}, announced=False, running={}),
         "removing", 0),
        (at("removing", **{**BACK, "ending": "cancelled"}), seen(weights={"1": 1.0}, announced=False),
         "cancelled", 0),
    ],
)  # fmt: skip
def test_each_phase_ends_by_its_condition_alone(held: Release, observed: Observation, phase: str, step: int) -> None:
    decided = decide(held, observed).release
    assert (decided.phase, decided.step) == (phase, step)
    assert decided.is_final or decided.waiting_for


@pytest.mark.parametrize(("when", "phase"), [("hold", "step"), ("roll_back", "restoring"), ("promote", "switching")])
def test_undecided_at_the_end_means_what_the_plan_says(when: str, phase: str) -> None:
    steps = [{"weight": 0.5, "gate": "judge", "max_duration": "40s"}]
    held = at("step", **STEP_0, plan=plan(steps=steps, when_undecided=when))
    assert decide(held, seen(**AT_HALF, now=89.0)).release.phase == "step"
    assert decide(held, seen(**AT_HALF, now=90.0)).release.phase == phase


def actions(held: Release, observed: Observation) -> list[Any]:
    return [action for action in decide(held, observed).actions if not isinstance(action, ReserveCapacity)]


def test_a_challenger_is_deployed_before_anything_else() -> None:
    assert actions(at("preparing"), seen(weights={"1": 1.0}, announced=False, running={"1": 2})) == [
        Deploy("2"),
        SetWeights({"1": 1.0}, True),
    ]


def test_weight_is_given_only_once_the_replicas_run() -> None:
    held = at("switching")
    assert actions(held, seen(**AT_HALF, running={"1": 2, "2": 1})) == []
    assert actions(held, seen(**AT_HALF, running={"1": 2, "2": 2})) == [SetWeights({"2": 1.0}, True)]
    assert ReserveCapacity("2", 2) in decide(held, seen(**AT_HALF)).actions


def test_the_way_back_restores_capacity_first_within_a_limit() -> None:
    held = at("restoring", **BACK)
    lost = {"1": 1, "2": 2}
    assert actions(held, seen(**AT_ALL, running=lost)) == []
    assert ReserveCapacity("1", 2) in decide(held, seen(**AT_ALL, running=lost)).actions
    assert actions(held, seen(**AT_ALL, now=129.0, running=lost)) == [SetWeights({"1": 1.0}, True)]
    assert actions(held, seen(**AT_ALL)) == [SetWeights({"1": 1.0}, True)]
    assert actions(held, seen(**AT_ALL, now=1e6, running={"2": 2})) == [Deploy("1")]


def test_nothing_is_deleted_that_a_gateway_replica_may_still_ask() -> None:
    held = at("removing", **BACK)
    assert actions(held, seen()) == [SetWeights({"1": 1.0}, False)]
    assert actions(held, seen(announced=False, followed=False)) == []
    assert actions(held, seen(announced=False)) == [TakeDown("2")]
    assert actions(at("retiring"), seen(weights={"1": 0.0, "2": 1.0}, announced=False)) == [TakeDown("1")]


def test_a_new_champion_moves_inline_once_no_gateway_replica_knows_of_the_release() -> None:
    held = at("retiring", **INLINE)
    both = {"1": 0.0, "2": 1.0}
    assert MoveInline("2") not in actions(held, seen(weights=both))
    assert MoveInline("2") not in actions(held, seen(weights=both, announced=False, followed=False))
    assert actions(held, seen(weights=both, announced=False)) == [TakeDown("1"), MoveInline("2")]
    assert actions(held, seen(**LEFT, **MOVING)) == [MoveInline("2")]
    assert actions(at("retiring", since=100.0), seen(weights=both, announced=False)) == [TakeDown("1")]
    ended = decide(held, seen(**LEFT, inline=frozenset({"2"}))).release
    assert ended.history[-1].what == "version 2 is champion, in the gateway replicas themselves"
    stayed = decide(held, seen(**LEFT, apps=frozenset({"2"}), now=280.0)).release
    assert "it keeps replicas of its own" in stayed.history[-1].what


def test_a_challenger_never_moves_inline() -> None:
    for phase in ("preparing", "step", "confirming", "switching", "settling", "committing"):
        assert MoveInline("2") not in actions(at(phase, inline=True), seen(**AT_ALL)), phase


def test_an_inline_champion_takes_all_the_traffic_back_at_once() -> None:
    held = at("restoring", **BACK, replicas=1)
    assert actions(held, seen(**AT_ALL, running={"1": 10**6, "2": 2}, inline=frozenset({"1"}))) == [
        SetWeights({"1": 1.0}, True)
    ]


def test_an_application_that_the_table_does_not_name_is_deleted() -> None:
    held = at("removing", **BACK)
    observed = seen(weights={"1": 1.0}, announced=False, apps=frozenset({"1", "2"}))
    assert actions(held, observed) == [TakeDown("2")]
    assert decide(held, observed).release.phase == "removing"


def test_a_challenger_that_was_deployed_before_stays_deployed() -> None:
    held = at("removing", **BACK, before={"1": 1.0, "2": 0.0})
    assert actions(held, seen(announced=False)) == []
    assert decide(held, seen(announced=False)).release.phase == "rolled_back"


def test_versions_lost_with_their_cluster_are_deployed_again_with_their_weight() -> None:
    assert actions(at("step", **STEP_0), seen(**AT_TENTH, running={})) == [Deploy("1"), Deploy("2")]


@pytest.mark.parametrize("phase", ["committing", "retiring"])
def test_a_new_champion_that_was_lost_is_deployed_again_whatever_failed(phase: str) -> None:
    note = Note(kind="alias", name="champion", version="2", number=100)
    asked = actions(at(phase, outbox=(note,)), seen(**AT_ALL, running={"1": 2}, failed={"2": "no room for it"}))
    assert Deploy("2") in asked


def test_the_registry_is_told_one_note_at_a_time_and_the_alias_last() -> None:
    decided = decide(at("settling", since=0.0), seen(**AT_ALL, delivered=0))
    assert [note.name for note in decided.release.outbox] == ["tidegate.release.result", "challenger", "champion"]
    assert [note.number for note in decided.release.outbox] == [1, 2, 3]
    assert [action for action in decided.actions if isinstance(action, Deliver)] == [
        Deliver(decided.release.outbox[0])
    ]
    after = decide(decided.release, seen(**AT_ALL, delivered=2))
    assert [note.number for note in after.release.outbox] == [3]


def test_a_way_back_from_a_moving_alias_withdraws_it_and_gives_it_back() -> None:
    committing = decide(at("settling", since=0.0), seen(**AT_ALL, delivered=0)).release
    back = ordered(committing, "rollback", "key", 101.0)
    assert "champion" not in [note.name for note in back.outbox]
    removing = decide(back, seen(delivered=0)).release
    assert removing.phase == "removing"
    assert (removing.outbox[-1].name, removing.outbox[-1].version) == ("champion", "1")
    assert removing.outbox[-1].number > committing.outbox[-1].number


def test_a_way_back_before_that_leaves_the_alias_alone() -> None:
    removing = decide(at("restoring", **BACK), seen()).release
    assert "champion" not in [note.name for note in removing.outbox]


@pytest.mark.parametrize("verb", ["rollback", "cancel"])
@pytest.mark.parametrize("phase", ["preparing", "step", "confirming", "switching", "settling", "committing"])
def test_every_forward_phase_knows_the_way_back(phase: str, verb: str) -> None:
    back = ordered(at(phase), verb, "key", 5.0)
    assert back.phase == "restoring"
    assert ordered(back, verb, "key", 6.0) == back
    assert back.history[-1].who == "key"


def test_orders_that_come_too_late_are_refused() -> None:
    with pytest.raises(OrderRefusedError, match="release version 1 to go back"):
        ordered(at("retiring"), "rollback", "key", 5.0)
    with pytest.raises(OrderRefusedError, match="is rolled back; it takes no pause"):
        ordered(at("rolled_back"), "pause", "key", 5.0)
    with pytest.raises(OrderRefusedError, match="promote opens the gate of a step"):
        ordered(at("preparing"), "promote", "key", 5.0)
    with pytest.raises(InvalidArgumentError, match="accepted are pause, resume, promote"):
        ordered(at("step"), "explode", "key", 5.0)


def test_promote_opens_a_gate_or_all_of_them() -> None:
    held = at("step", **STEP_0)
    assert decide(ordered(held, "promote", "key", 51.0), seen(**AT_TENTH, now=51.0)).release.step == 1
    assert ordered(held, "promote", "key", 51.0, full=True).phase == "switching"
    assert ordered(at("confirming"), "promote", "key", 51.0).phase == "switching"
    assert not ordered(held.model_copy(update={"paused": True}), "promote", "key", 51.0, full=True).paused


def test_promote_of_a_step_opens_its_gate_and_no_later_one() -> None:
    held = at("step", **STEP_0)
    opened = ordered(held, "promote", "key", 51.0, step=0)
    assert opened.approved
    assert ordered(opened, "promote", "key", 52.0, step=0) == opened
    for later in (decide(opened, seen(**AT_TENTH, now=52.0)).release, at("confirming"), at("settling")):
        assert ordered(later, "promote", "key", 53.0, step=0) == later
    with pytest.raises(OrderRefusedError, match="the gate of step 1 comes later"):
        ordered(held, "promote", "key", 51.0, step=1)
    with pytest.raises(OrderRefusedError, match="promote opens the gate of a step"):
        ordered(at("preparing"), "promote", "key", 51.0, step=0)


def test_a_paused_release_goes_on_where_it_was() -> None:
    paused = ordered(at("step", **STEP_0), "pause", "key", 55.0)
    assert decide(paused, seen(**AT_TENTH)).release.phase == "step"
    assert decide(ordered(paused, "resume", "key", 56.0), seen(**AT_TENTH)).release.step == 1


def test_a_document_comes_back_from_json_as_it_was() -> None:
    held = decide(at("settling", since=0.0), seen(**AT_ALL)).release
    assert Release.model_validate_json(held.model_dump_json()) == held


@pytest.mark.parametrize(
    ("held", "observed", "what", "work", "why"),
    [
        (at("preparing"), seen(running={"1": 2}), "1 replicas of version 2", ("deploy", "2"),
         "version 2 could not be deployed: it broke"),
        (at("step", step=1), seen(running={"1": 2}), "1 replicas of version 2", ("replicas", "2"),
         "version 2 has too few replicas: it broke"),
        (at("preparing"), seen(announced=False), "every gateway replica to know of it", ("weights", ""),
         "the weights could not be written: it broke"),
        (at("step"), seen(**AT_TENTH, followed=False), "every gateway replica to follow 10%", ("follow", ""),
         "a gateway replica is behind: it broke"),
        (at("switching"), seen(**AT_ALL, followed=False), "every gateway replica to follow 100%", ("follow", ""),
         "a gateway replica is behind: it broke"),
        (at("committing", outbox=(Note(kind="alias", name="champion", version="2", number=100),)), seen(**AT_ALL),
         "the registry to take 1 notes", ("registry", ""), "the registry did not take a note: it broke"),
        (at("retiring"), seen(weights={"2": 1.0, "1": 0.0}, announced=False),
         "version 1 to be drained and deleted", ("take_down", "1"), "version 1 could not be deleted: it broke"),
        (at("retiring", **INLINE), seen(**LEFT, apps=frozenset({"2"})), "every gateway replica to load version 2",
         ("move_inline", "2"), "version 2 could not be moved into the gateway replicas: it broke"),
        (at("restoring", **BACK), seen(**AT_HALF, running={"2": 2}), "replicas of version 1", ("deploy", "1"),
         "version 1 could not be deployed: it broke"),
        (at("restoring", **BACK), seen(**AT_HALF), "the gateway replicas", ("weights", ""),
         "the weights could not be written: it broke"),
        (at("removing", **BACK), seen(weights={"1": 1.0}, announced=False, apps=frozenset({"2"})),
         "version 2 to be drained and deleted", ("take_down", "2"), "version 2 could not be deleted: it broke"),
    ],
)  # fmt: skip
def test_a_wait_carries_the_error_of_the_work_it_waits_for(
    held: Release, observed: Observation, what: str, work: tuple[Work, str], why: str
) -> None:
    quiet = decide(held, observed).release
    assert quiet.waiting_for == what
    assert "it broke" not in quiet.waiting_because
    waits = decide(held, replace(observed, errors={work: "it broke"})).release
    assert (waits.waiting_for, waits.waiting_because) == (what, why)
    other = replace(observed, errors={("take_down", "9"): "another version's error"})
    assert decide(held, other).release.waiting_because == quiet.waiting_because


def test_the_cause_of_a_wait_ends_with_it() -> None:
    waits = decide(at("preparing"), seen(announced=False, errors={("weights", ""): "no"})).release
    assert decide(waits, seen()).release.waiting_because == ""
