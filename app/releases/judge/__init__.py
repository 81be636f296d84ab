"""The judge: is a challenger worse than the champion? Sequential tests that stay valid however often one looks. Pure.

ArmSums per tick (``strata``) go in by ``fold``, a ``verdict`` comes out by ``judge``; the ``state`` between them is a
JSON document. ``hypotheses`` are those that guards test, ``evidence`` its e-processes: ``binary`` for 0/1 metrics,
``bounded`` for losses in [0, 1], each a ``mixture`` over a grid.
"""

from app.releases.judge.hypotheses import BinaryHypothesis, BoundedHypothesis, Hypothesis
from app.releases.judge.state import JudgeState, OldTickError, as_json, fold, from_json, new_state
from app.releases.judge.strata import ArmSums, Pairs, Strata, Stratum
from app.releases.judge.verdict import GuardVerdict, JudgeReport, Verdict, judge

__all__ = [
    "ArmSums",
    "BinaryHypothesis",
    "BoundedHypothesis",
    "GuardVerdict",
    "Hypothesis",
    "JudgeReport",
    "JudgeState",
    "OldTickError",
    "Pairs",
    "Strata",
    "Stratum",
    "Verdict",
    "as_json",
    "fold",
    "from_json",
    "judge",
    "new_state",
]
