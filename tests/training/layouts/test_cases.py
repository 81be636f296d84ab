"""The layouts that are compared, and the verdict on two curves."""

from __future__ import annotations

import pytest

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.training.config.validation import layout_errors
from tests.recipes.bytelm.support import prose
from tests.training.layouts.cases import CASES, GROUPS
from tests.training.layouts.curve import Curve, compare

WANTED = Curve((5.0, 4.0), (2.0, 1.0))


@pytest.mark.parametrize(
    ("losses", "norms", "holds"),
    [
        ((5.0, 4.0), (2.0, 1.0), True),
        ((5.00002, 4.0), (2.0001, 1.0), True),
        ((5.0, 4.0001), (2.0, 1.0), False),
        ((5.0, 4.0), (2.0, 1.001), False),
        ((float("nan"), 4.0), (2.0, 1.0), False),
        ((5.0, 4.0), (float("inf"), 1.0), False),
    ],
)
def test_curve_apart_from_the_reference_does_not_agree(
    losses: tuple[float, ...], norms: tuple[float, ...], holds: bool
) -> None:
    assert compare(Curve(losses, norms), WANTED).agrees is holds


def test_no_case_is_refused() -> None:
    for group in GROUPS:
        plan = ByteLMRecipe(ByteLMConfig(size=group.size, sequence=64)).parallel_plan(prose(64))
        for name, layout in group.layouts.items():
            assert not list(layout_errors(layout, plan, "cpu", 16)), name
    assert len(CASES) == sum(len(group.layouts) for group in GROUPS)
