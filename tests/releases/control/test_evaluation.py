from __future__ import annotations

import time

from app.monitoring.sums import Sums, Tick
from app.releases.control.evaluation import LATE_S, GuardEvaluator, evaluation_of
from app.releases.model.release import Release
from tests.releases.documents import plan, release

GUARDED = release(
    plan=plan(guards=[{"metric": "errors", "tolerance": 1.5}, {"metric": "latency", "objective": "1s"}])
)


def tick(bad_challenger: int, bad_champion: int, n: int = 100) -> Tick:
    errors = {"challenger": Sums(n, bad_challenger), "champion": Sums(n, bad_champion)}
    return {"errors": errors, "latency": {"challenger": Sums(n, 0), "champion": Sums(n, 0)}}  # type: ignore[dict-item]


def test_ticks_are_folded_once_whatever_is_read_again() -> None:
    ticks = {number: tick(1, 1) for number in range(10)}
    once = evaluation_of(GUARDED, ticks, now=10)
    again = evaluation_of(once.release, ticks, now=10)
    assert again.release == once.release
    assert (once.counted, again.counted) == (1000, 1000)
    in_two = evaluation_of(evaluation_of(GUARDED, {n: ticks[n] for n in range(4)}, now=4).release, ticks, now=10)
    assert in_two.release == once.release
    stored = Release.model_validate_json(once.release.model_dump_json())
    assert evaluation_of(stored, {10: tick(1, 1)}, now=11) == evaluation_of(once.release, {10: tick(1, 1)}, now=11)


def test_a_fail_names_the_guard_and_both_rates() -> None:
    failed = evaluation_of(GUARDED, {number: tick(30, 1) for number in range(3)}, now=3)
    assert failed.verdict == "fail"
    assert failed.why.startswith("errors 30.00% of 300 against 1.00% of 300; e over all guards ")
    assert failed.release.report is not None


def test_too_little_traffic_is_undecided_with_a_reason() -> None:
    assert evaluation_of(GUARDED, {}, now=3).why == "no request has been judged yet"
    few = evaluation_of(GUARDED, {0: tick(0, 0, n=1)}, now=1)
    assert few.verdict == "undecided"
    assert "errors undecided, e " in few.why
    errors_only = {0: {"errors": tick(0, 0)["errors"]}}
    assert "latency: nothing has arrived yet" in evaluation_of(GUARDED, errors_only, now=1).why
    assert "errors: nothing has arrived for 90 s" in evaluation_of(few.release, {}, now=90).why


def test_mirrored_pairs_count_too() -> None:
    paired = {
        number: {"errors/pairs": {"challenger": Sums(50, 20, 20), "champion": Sums(50, 0)}} for number in range(3)
    }
    found = evaluation_of(GUARDED, paired, now=3)  # type: ignore[arg-type]
    assert (found.verdict, found.counted) == ("fail", 150)


def test_without_guards_there_is_no_verdict() -> None:
    free = release(plan=plan(guards=[], steps=[{"weight": 0.1, "gate": "time", "min_duration": "1s"}]))
    found = evaluation_of(free, {0: tick(50, 0)}, now=1)
    assert (found.verdict, found.counted, found.release.report) == ("undecided", 100, None)


class Kept:
    """Samples as Redis keeps them."""

    def __init__(self) -> None:
        self.held: dict[int, Tick] = {}

    async def ticks(self, release: str, up_to: int) -> dict[int, Tick]:
        return {number: tick for number, tick in self.held.items() if number <= up_to}

    async def forget(self, release: str, up_to: int) -> None:
        self.held = {number: tick for number, tick in self.held.items() if number > up_to}

    async def drop(self, release: str) -> None:
        self.held = {}


async def test_samples_that_come_behind_their_tick_are_counted_as_dropped() -> None:
    kept = Kept()
    evaluator = GuardEvaluator(kept)
    then = int(time.time()) - LATE_S - 1
    kept.held[then] = tick(1, 1)
    looked = await evaluator.evaluate(GUARDED)
    assert (await evaluator.evaluate(GUARDED)).counted == 100
    assert evaluator.late == 0, "not yet forgotten: it may have to be read again"
    await evaluator.after_save(looked.release)
    kept.held[then - 1] = tick(9, 0, n=20)
    again = await evaluator.evaluate(looked.release)
    assert (again.counted, evaluator.late) == (100, 80)  # two metrics of two arms
    await evaluator.after_save(again.release)
    assert (await evaluator.evaluate(again.release)).counted == 100
    assert evaluator.late == 80


def test_evidence_of_a_newer_judge_is_put_aside_and_kept() -> None:
    newer = {"format": 3, "grid": [1, 2]}
    held = GUARDED.model_copy(
        update={"judge": {"schema": 2, "tick": 4, "counts": [7, 9], "heard": {}, "state": newer, "later": 1}}
    )
    found = evaluation_of(held, {5: tick(1, 1)}, now=6).release
    assert found.judge is not None
    assert (found.judge["schema"], found.judge["later"], found.judge["tick"]) == (2, 1, 5)
    assert found.judge["state_3"] == newer
    assert found.judge["state"]["format"] == 2
    again = evaluation_of(found, {6: tick(1, 1)}, now=7).release
    assert again.judge is not None
    assert again.judge["state_3"] == newer
