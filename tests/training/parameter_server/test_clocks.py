"""The bound on the distance between clocks."""

from __future__ import annotations

import pytest

from app.training.parameter_server.clocks import Clocks


@pytest.mark.parametrize(
    ("done", "bound", "step", "lead", "may"),
    [
        ((0, 0), 0, 0, 0, True),
        ((1, 0), 0, 1, 1, False),
        ((1, 1), 0, 1, 0, True),
        ((3, 1), 2, 3, 2, True),
        ((4, 1), 2, 4, 3, False),
        ((4, 2), 2, 4, 2, True),
        ((90, 1), None, 90, 89, True),
        ((5, 5, 4), 1, 4, 0, True),
    ],
)
def test_bound_on_the_lead(done: tuple[int, ...], bound: int | None, step: int, lead: int, may: bool) -> None:
    clocks = Clocks(done, bound)
    assert (clocks.lead(step), clocks.may_begin(step)) == (lead, may)


def test_clocks_advance() -> None:
    clocks = Clocks((2, 1, 1), 1)
    assert (clocks.slowest, clocks.laggards) == (1, (1, 2))
    assert clocks.advance(1).done == (2, 2, 1)
    assert clocks.advance(1).advance(2).slowest == 2
    assert clocks.advance_all().done == (3, 2, 2)
