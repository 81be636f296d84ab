"""The judge's state: what all guards know, as one document that is kept after every tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial, reduce
from typing import Any

from app.errors import FailedPreconditionError
from app.releases.judge.evidence import Evidence, Logs, folded, nothing
from app.releases.judge.hypotheses import BinaryHypothesis, BoundedHypothesis, Hypothesis, check_hypotheses
from app.releases.judge.mixture import log_mean
from app.releases.judge.strata import Pairs, Strata, Stratum
from app.stored_document import UNKNOWN, as_stored, with_unknown

FORMAT = 2
"""Of the document. A change of a grid or its prior is another one: evidence cannot be carried over."""
KINDS: Mapping[str, type[BinaryHypothesis] | type[BoundedHypothesis]] = {
    "binary": BinaryHypothesis,
    "bounded": BoundedHypothesis,
}


_FIELDS = frozenset({"format", "tick", "peak", "guards"})


class OldTickError(FailedPreconditionError, ValueError):
    """The tick was folded before, or a later one was."""


@dataclass(frozen=True, slots=True)
class JudgeState:
    """All evidence of one release.

    Attributes:
        guards: those that it was made for; no others can be folded into it or judged by it.
        evidence: one of each, in their order.
        tick: the last one that was folded; None before the first.
        peak: logarithm of the largest e-value for a fail of the whole so far.
        unknown: fields of a newer version's document (``app.stored_document``).
    """

    guards: tuple[Hypothesis, ...]
    evidence: tuple[Evidence, ...]
    tick: int | None = None
    peak: float = 0.0
    unknown: str = ""


def new_state(guards: Sequence[Hypothesis]) -> JudgeState:
    """Before the first tick.

    Raises:
        ValueError: no guards, or two of one name.
    """
    check_hypotheses(guards)
    return JudgeState(tuple(guards), tuple(nothing(guard) for guard in guards))


def fold(guards: Sequence[Hypothesis], state: JudgeState, tick: int, strata: Mapping[str, Strata]) -> JudgeState:
    """The state after one more tick.

    Args:
        tick: its number; they grow, and may leave gaps.
        strata: by name of the guard, added over the gateway replicas; one that is missing, or has an arm without
            requests, adds nothing.

    Raises:
        OldTickError: a tick that is not later than the last one. A caller that does not know, after a crash, whether
            its last tick was kept may ask again: nothing is counted twice.
        ValueError: a guard that the state was not made for, or sums that its metric cannot have.
    """
    check_made_for(guards, state)
    if state.tick is not None and tick <= state.tick:
        raise OldTickError(f"tick {tick}: the last one that was folded is {state.tick}; a later one is accepted")
    names = [guard.name for guard in guards]
    unknown = sorted(set(strata) - set(names))
    if unknown:
        raise ValueError(f"strata {', '.join(unknown)}: the guards are {', '.join(names)}")
    evidence = tuple(
        reduce(partial(folded, guard), _several(strata.get(guard.name, ())), known)
        for guard, known in zip(guards, state.evidence, strict=True)
    )
    now = log_mean([known.now for known in evidence])
    return JudgeState(state.guards, evidence, tick, max(state.peak, now), state.unknown)


def _several(strata: Strata) -> Sequence[Stratum | Pairs]:
    return (strata,) if isinstance(strata, Stratum | Pairs) else strata


def check_made_for(guards: Sequence[Hypothesis], state: JudgeState) -> None:
    """Refuses guards whose evidence this is not.

    Raises:
        ValueError: other guards, tolerances or another order.
    """
    if tuple(guards) != state.guards:
        raise ValueError(f"guards {list(guards)}: the state was made for {list(state.guards)}")


def as_json(state: JudgeState) -> dict[str, Any]:
    """A document of JSON's types; ``from_json`` gives back the same state, to the last bit."""
    kinds = {kind: name for name, kind in KINDS.items()}
    document = {
        UNKNOWN: state.unknown,
        "format": FORMAT,
        "tick": state.tick,
        "peak": state.peak,
        "guards": [
            {"kind": kinds[type(guard)], **asdict(guard), "evidence": asdict(known)}
            for guard, known in zip(state.guards, state.evidence, strict=True)
        ],
    }
    return as_stored(document)


def from_json(document: Mapping[str, Any]) -> JudgeState:
    """The state that a document holds.

    Raises:
        ValueError: a document of another format, or not one at all.
    """
    if document.get("format") != FORMAT:
        raise ValueError(f"format {document.get('format')} of the judge's state: {FORMAT} is accepted")
    try:
        read = [_guard(entry) for entry in document["guards"]]
        guards, evidence = tuple(guard for guard, _ in read), tuple(known for _, known in read)
        check_hypotheses(guards)
        unknown = with_unknown(document, _FIELDS)[UNKNOWN]
        return JudgeState(guards, evidence, document["tick"], document["peak"], unknown)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the judge's state: {type(error).__name__} {error}") from error


def _guard(entry: Mapping[str, Any]) -> tuple[Hypothesis, Evidence]:
    kind = KINDS[entry["kind"]]
    guard = kind(**{field.name: entry[field.name] for field in fields(kind)})
    kept = {field.name: entry["evidence"][field.name] for field in fields(Evidence)}
    start = nothing(guard)
    for name, wanted in (("log_fail", start.log_fail), ("log_pass", start.log_pass)):
        kept[name] = tuple(tuple(side) for side in kept[name])
        if _shape(kept[name]) != _shape(wanted):
            raise ValueError(f"{name} of guard {guard.name}: {_shape(kept[name])}; {_shape(wanted)} is accepted")
    kept["log_near"] = tuple(kept["log_near"])
    if len(kept["log_near"]) != len(start.log_near):
        raise ValueError(
            f"log_near of guard {guard.name}: {len(kept['log_near'])}; {len(start.log_near)} is accepted"
        )
    return guard, Evidence(**kept)


def _shape(logs: Logs) -> list[int]:
    return [len(side) for side in logs]
