"""The bounds that a new version must keep on the held-out rows before it is released. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_GATE = re.compile(r"\s*([\w./-]+?)\s*(>=|<=)\s*(champion)?\s*([+-]?\s*[0-9.]+(?:e[+-]?[0-9]+)?)?\s*")


@dataclass(frozen=True, slots=True)
class OfflineGate:
    """``METRIC>=BOUND`` or ``METRIC<=BOUND``.

    Attributes:
        relative: the bound counts from the champion's value.
        bound: the number, or what is added to the champion's value.
    """

    metric: str
    sign: Literal[">=", "<="]
    relative: bool
    bound: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of a gate, and the figures in a sentence."""

    passed: bool
    sentence: str


def parse(text: str) -> OfflineGate:
    """A gate from text such as ``auc>=champion-0.005`` or ``brier<=0.2``.

    Raises:
        ValueError: the text is no gate; says what is accepted.
    """
    found = _GATE.fullmatch(text)
    try:
        if found is None or not (found[3] or found[4]):
            raise ValueError
        bound = float((found[4] or "0").replace(" ", ""))
    except ValueError:
        raise ValueError(
            f"{text!r}: accepted is METRIC>=BOUND or METRIC<=BOUND, the bound a number, champion, or champion plus "
            "or minus a number, such as auc>=champion-0.005"
        ) from None
    return OfflineGate(found[1], ">=" if found[2] == ">=" else "<=", found[3] is not None, bound)


def check(gate: OfflineGate, challenger: Mapping[str, float], champion: Mapping[str, float] | None) -> Outcome:
    """Returns the outcome for a version.

    Args:
        challenger, champion: metric -> value, as logged; None: the model has no champion, and then a relative gate
            has nothing to compare with and lets pass.
    """
    value = challenger.get(gate.metric)
    if value is None:
        return Outcome(False, f"{gate.metric}: the new version logged none; it logged {_names(challenger)}")
    bound, shown = gate.bound, f"{gate.bound:g}"
    if gate.relative:
        if champion is None:
            return Outcome(not math.isnan(value), f"{gate.metric} {value:.4f}: no champion to compare with")
        held = champion.get(gate.metric)
        if held is None:
            return Outcome(False, f"{gate.metric}: the champion logged none; it logged {_names(champion)}")
        bound += held
        shown = f"{bound:.4f} (champion {held:.4f} {'-' if gate.bound < 0 else '+'} {abs(gate.bound):g})"
    passed = value >= bound if gate.sign == ">=" else value <= bound
    return Outcome(passed, f"{gate.metric} {value:.4f} is {'' if passed else 'not '}{gate.sign} {shown}")


def _names(metrics: Mapping[str, float]) -> str:
    return ", ".join(sorted(metrics)) or "nothing"
