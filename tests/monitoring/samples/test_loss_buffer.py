"""The sums of one process: which tick a note goes to, and when that tick is sent."""

from __future__ import annotations

import msgspec
import pytest

from app.monitoring.samples.encoding import decode
from app.monitoring.samples.loss_buffer import DueSums, LossBuffer
from app.monitoring.sums import Sums
from tests.monitoring.samples.support import START, Clock, loss_buffer


def send(held: LossBuffer) -> list[DueSums]:
    due = held.due()
    for one in due:
        held.sent(one)
    held.forget()
    return due


def test_losses_add_up_by_release_metric_arm_and_second() -> None:
    clock = Clock()
    held = loss_buffer(clock)
    held.add("r1", [("errors", "champion", 0.0), ("drift", "champion", 0.5)])
    held.add("r1", [("errors", "champion", 1.0), ("drift", "champion", 0.25)])
    held.add("r2", [("errors", "challenger", 1.0)])
    assert held.due() == []  # the second is not over
    clock.now += 1
    held.add("r1", [("errors", "challenger", 0.0)])
    assert send(held) == [
        DueSums(
            "r1", START, 2, {"errors": {"champion": Sums(2, 1.0, 1.0)}, "drift": {"champion": Sums(2, 0.75, 0.3125)}}
        ),
        DueSums("r2", START, 1, {"errors": {"challenger": Sums(1, 1.0, 1.0)}}),
    ]
    clock.now += 1
    assert [(due.release, due.tick) for due in send(held)] == [("r1", START + 1)]
    assert send(held) == []
    assert (held.added, held.dropped, held.unsent()) == (4, 0, 0)


def test_loss_outside_its_range_is_refused_and_adds_nothing() -> None:
    held = loss_buffer(Clock())
    with pytest.raises(ValueError, match=r"loss nan of drift: accepted is a number from 0 to 1"):
        held.add("r", [("errors", "champion", 0.0), ("drift", "champion", float("nan"))])
    assert (held.added, held.due(everything=True)) == (0, [])


def test_sums_that_changed_after_they_were_sent_are_sent_again_whole() -> None:
    clock = Clock()
    held = loss_buffer(clock)
    held.add("r", [("errors", "champion", 0.0)])
    (early,) = held.due(everything=True)
    held.add("r", [("errors", "champion", 1.0)])
    held.sent(early)
    assert held.unsent() == 1
    clock.now += 1
    (late,) = send(held)
    assert late.sums == {"errors": {"champion": Sums(2, 1.0, 1.0)}}


def test_clock_set_back_reopens_no_tick() -> None:
    clock = Clock()
    held = loss_buffer(clock)
    held.add("r", [("errors", "champion", 0.0)])
    clock.now += 1
    assert [due.tick for due in send(held)] == [START]
    clock.now -= 100
    held.add("r", [("errors", "champion", 1.0)])
    (first,) = send(held)  # at once: its second may be long in coming
    held.add("r", [("errors", "champion", 1.0)])
    (second,) = send(held)
    assert (first.tick, second.tick) == (START + 1, START + 1)
    assert second.sums == {"errors": {"champion": Sums(2, 2.0, 2.0)}}
    clock.now += 102
    held.add("r", [("errors", "champion", 0.0)])
    assert send(held) == []
    clock.now += 1
    assert [due.tick for due in send(held)] == [START + 3]


def test_unsent_sums_are_held_up_to_a_bound_and_counted() -> None:
    clock = Clock()
    held = loss_buffer(clock, held_ticks=60)
    for _ in range(70):
        held.add("r", [("errors", "champion", 0.0)])
        held.add("r", [("errors", "champion", 0.0)])
        clock.now += 1
    due = held.due()
    assert [one.tick for one in due] == list(range(START + 10, START + 70))
    assert (held.added, held.dropped, held.unsent()) == (140, 20, 120)


def test_sums_of_a_newer_version_are_read_with_what_is_known() -> None:
    newer = msgspec.msgpack.encode(
        {"errors": {"champion": [3, 1.0, 1.0, "more"]}, "tokens": {"champion": [1, 0.5, 0.25]}}
    )
    assert decode(newer)["tokens"]["champion"] == Sums(1, 0.5, 0.25)
    assert decode(newer)["errors"]["champion"] == Sums(3, 1.0, 1.0)
    older = msgspec.msgpack.encode({"errors": {"champion": [3, 1.0]}})
    assert decode(older)["errors"]["champion"] == Sums(3, 1.0, 0.0)
