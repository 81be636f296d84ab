"""Times and broken promises of a release that was seen."""

from __future__ import annotations

import pytest

from jobs.run.record import Record
from tests.jobs.run.states import judge, state


def rolled_back() -> Record:
    record = Record("shuffled", "3", "rolled_back")
    for seen in (
        state("preparing", 0),
        state("step", 5, 0.1),
        state("step", 15, 0.25),
        state("restoring", 40, None, judge=judge("fail")),
        state("removing", 41, judge=judge("fail")),
        state("rolled_back", 48, judge=judge("fail"), reason="quality is worse"),
    ):
        record.see(seen)
    return record


def test_times_are_those_of_the_controller() -> None:
    record = rolled_back()
    assert record.seconds_to_decision == 35
    assert record.seconds_to_followed == 1
    assert record.broken() == []


def test_promotion_at_once_has_no_first_weight() -> None:
    record = Record("static", "1", "promoted")
    for seen in (state("preparing", 0), state("switching", 4, 1.0), state("settling", 5, 1.0)):
        record.see(seen)
    assert record.seconds_to_decision is None
    assert record.seconds_to_followed == 1
    assert record.broken() == ["version 1 (static) should be promoted, it is still settling: no reason given"]


@pytest.mark.parametrize(
    ("last", "broken"),
    [
        (
            state("rolled_back", 50, reason="undecided after 180 s at 50%", judge=judge("undecided")),
            "version 3 (shuffled) was not rolled back by the judge: undecided after 180 s at 50%",
        ),
        (state("promoted", 50, 1.0), "version 3 (shuffled) should be rolled back, it is promoted: no reason given"),
        (
            state("cancelled", 50, reason="ordered"),
            "version 3 (shuffled) should be rolled back, it is cancelled: ordered",
        ),
    ],
)
def test_unexpected_end_breaks_a_promise(last: dict[str, object], broken: str) -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(last)
    assert record.broken() == [broken]


def test_failed_requests_break_a_promise() -> None:
    record = rolled_back()
    record.failed = 2
    assert record.broken() == ["2 requests failed while version 3 (shuffled) was released"]
