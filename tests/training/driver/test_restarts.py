"""Restart decision of a run whose worker group was lost."""

from __future__ import annotations

import pytest

from app.training.driver.restarts import Loss, gives_up

DIED, RAISED = True, False


@pytest.mark.parametrize(
    ("losses", "max_failures", "says"),
    [
        ([(DIED, 5)], 3, None),
        ([(DIED, 5)], 0, "1 failures, 0 are allowed"),
        ([(DIED, 5), (DIED, 5), (DIED, 5)], 3, None),
        ([(DIED, 5), (DIED, 9), (DIED, 9), (DIED, 9)], 3, "4 failures, 3 are allowed"),
        ([(RAISED, -1)], 3, None),
        ([(RAISED, -1), (RAISED, -1)], 3, "raised twice at the same place: reason"),
        ([(RAISED, 7), (RAISED, 5)], 3, "raised twice at the same place"),
        ([(RAISED, 7), (RAISED, 12)], 3, None),
        ([(RAISED, 7), (DIED, 7), (RAISED, 7)], 3, None),
    ],
)
def test_restart_decision(losses: list[tuple[bool, int]], max_failures: int, says: str | None) -> None:
    found = gives_up([Loss(died, step, "reason") for died, step in losses], max_failures)
    assert (found is None) if says is None else (found is not None and says in found), found
