"""Brings the gateway replicas' measurements to the judge, tick by tick, and its verdict to the release."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, assert_never

from app.monitoring.guards import Guard, MeanDifference, OddsRatio
from app.monitoring.sums import Sums, Tick
from app.releases.judge import (
    ArmSums,
    BinaryHypothesis,
    BoundedHypothesis,
    GuardVerdict,
    Hypothesis,
    JudgeReport,
    JudgeState,
    Pairs,
    Stratum,
    Verdict,
    as_json,
    fold,
    from_json,
    judge,
    new_state,
)
from app.releases.judge.state import FORMAT
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import Release

log = logging.getLogger(__name__)

LATE_S = 2
"""Seconds after its end at which a tick is judged: the gateway replicas send theirs each second."""
SILENT_S = 30
"""Time without a sample of a metric after which its guard says so, seconds."""
PAIRS = "pairs"


class Samples(Protocol):
    """The gateway replicas' sums in Redis (``app.monitoring.samples.SampleStore``)."""

    async def ticks(self, release: str, up_to: int) -> dict[int, Tick]:
        """Ticks of a release, up to and with one, added over the replicas."""

    async def forget(self, release: str, up_to: int) -> None:
        """Deletes the ticks of a release up to and with one."""

    async def drop(self, release: str) -> None:
        """Deletes all samples of a release."""


@dataclass(frozen=True, slots=True)
class GuardEvaluation:
    """A release with the judge's state; the verdict and its grounds; requests judged, the smaller arm's."""

    release: Release
    verdict: Verdict = "undecided"
    why: str = "no guards"
    counted: int = 0


class GuardEvaluator:
    """Feeds the judge. What a tick adds is in the release's document before the tick is deleted, and the document
    knows its last tick: after a crash between the two it is left out the second time."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._forgotten: dict[str, int] = {}
        self.late = 0
        """Samples that came when their tick had been judged, and so did not count."""

    async def evaluate(self, release: Release) -> GuardEvaluation:
        """The release with every tick folded in that is complete by now.

        Raises:
            redis.RedisError: Redis is away.
        """
        if release.champion is None or release.is_final:
            return GuardEvaluation(release)
        now = int(time.time())
        ticks = await self._samples.ticks(release.id, now - LATE_S)
        forgotten = self._forgotten.get(release.id)
        if forgotten is not None:
            late = (tick for number, tick in ticks.items() if number <= forgotten)
            self.late += sum(sums.n for tick in late for arms in tick.values() for sums in arms.values())
        return evaluation_of(release, ticks, now)

    async def after_save(self, release: Release) -> None:
        """Once the release has been stored: what is in it need not be kept."""
        if release.is_final:
            await self._samples.drop(release.id)
            self._forgotten.pop(release.id, None)
        elif release.judge is not None and release.judge["tick"] is not None:
            await self._samples.forget(release.id, release.judge["tick"])
            self._forgotten[release.id] = release.judge["tick"]


def evaluation_of(release: Release, ticks: Mapping[int, Tick], now: int) -> GuardEvaluation:
    """The judge's verdict after these ticks. Pure.

    Args:
        now: seconds since the epoch.
    """
    guards = hypotheses_of(release.plan)
    kept: dict[str, Any] = release.judge or {"tick": None, "counts": [0, 0], "heard": {}, "state": None}
    last = kept["tick"]
    counts, heard = list(kept["counts"]), dict(kept["heard"])
    state = None
    if guards:
        state = _state(kept["state"], guards)
    for number in sorted(ticks):
        if last is not None and number <= last:
            continue
        tick = ticks[number]
        for metric in ("errors", f"errors/{PAIRS}"):
            arms = tick.get(metric, {})
            counts[0] += arms.get("challenger", Sums()).n
            counts[1] += arms.get("champion", Sums()).n
        strata = {guard.name: found for guard in guards if (found := _strata(guard, tick))}
        heard |= dict.fromkeys(strata, number)
        if state is not None:
            state = fold(guards, state, number, strata)
        last = number
    if last is None:
        return GuardEvaluation(release, why="no request has been judged yet" if guards else "no guards")
    if last == kept["tick"] and release.report is not None:
        pass_on = release
    else:
        document = {
            **kept,  # with fields of a newer version
            "tick": last,
            "counts": counts,
            "heard": heard,
            "state": as_json(state) if state is not None else None,
        }
        if kept["state"] is not None and kept["state"].get("format") not in (None, FORMAT):
            document[f"state_{kept['state']['format']}"] = kept["state"]
        pass_on = release.model_copy(update={"judge": document})
    if state is None:
        return GuardEvaluation(pass_on, counted=min(counts))
    report = judge(guards, state, release.plan.alpha, release.plan.beta)
    pass_on = pass_on.model_copy(update={"report": asdict(report)})
    return GuardEvaluation(pass_on, report.verdict, _why(report, heard, now), min(counts))


def hypotheses_of(plan: ReleasePlan) -> tuple[Hypothesis, ...]:
    """The plan's guards as the judge takes them."""
    return tuple(_hypothesis(guard) for guard in plan.guards)


def _hypothesis(guard: Guard) -> Hypothesis:
    match guard.test():
        case OddsRatio(tolerance, margin):
            return BinaryHypothesis(guard.metric, tolerance, margin)
        case MeanDifference(tolerance, two_sided):
            return BoundedHypothesis(guard.metric, tolerance, two_sided)
        case unknown:
            assert_never(unknown)


def _state(document: dict[str, Any] | None, guards: tuple[Hypothesis, ...]) -> JudgeState:
    if document is not None:
        try:
            return from_json(document)
        except ValueError as error:  # of another version of the judge: its evidence cannot be carried over
            log.warning("%s; the judge begins again", error)
    return new_state(guards)


def _strata(guard: Hypothesis, tick: Tick) -> list[Stratum | Pairs]:
    found: list[Stratum | Pairs] = []
    for metric, arms in sorted(tick.items()):
        name, _, form = metric.partition("/")
        if name != guard.name:
            continue
        challenger, champion = arms.get("challenger", Sums()), arms.get("champion", Sums())
        if form == PAIRS:  # totals are of what was bad in one arm only
            found.append(Pairs(challenger.n, challenger.total, champion.total, challenger.squares + champion.squares))
        else:
            found.append(Stratum(ArmSums(*challenger), ArmSums(*champion)))
    return found


def _why(report: JudgeReport, heard: Mapping[str, int], now: int) -> str:
    if report.verdict == "fail":
        worst = max(report.guards, key=lambda guard: guard.fail_e)
        return f"{_rates(worst)}; e over all guards {report.fail_e:.3g}, the bound is {report.fail_bound:.3g}"
    if report.verdict == "pass":
        return "; ".join(_rates(guard) for guard in report.guards)
    open_ = [guard for guard in report.guards if guard.verdict != "pass"]
    return "; ".join(_undecided(guard, report.pass_bound, heard, now) for guard in open_)


def _undecided(guard: GuardVerdict, bound: float, heard: Mapping[str, int], now: int) -> str:
    silent = now - heard[guard.name] if guard.name in heard else None
    if silent is None:
        return f"{guard.name}: nothing has arrived yet"
    if silent > SILENT_S:
        return f"{guard.name}: nothing has arrived for {silent} s"
    return f"{guard.name} undecided, e {guard.pass_e:.3g} of {bound:.3g} for a pass"


def _rates(guard: GuardVerdict) -> str:
    def shown(rate: float | None) -> str:
        return "-" if rate is None else f"{rate:.2%}"

    return (
        f"{guard.name} {shown(guard.rate_challenger)} of {guard.n_challenger:,} "
        f"against {shown(guard.rate_champion)} of {guard.n_champion:,}"
    )
