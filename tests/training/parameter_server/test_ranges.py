"""Cuts of the flat parameters."""

from __future__ import annotations

import pytest

from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.ranges import cut


@pytest.mark.parametrize(
    ("total", "servers", "ranges"),
    [
        (10, 1, ((0, 10),)),
        (10, 2, ((0, 5), (5, 10))),
        (10, 3, ((0, 3), (3, 6), (6, 10))),
        (3, 3, ((0, 1), (1, 2), (2, 3))),
    ],
)
def test_even_ranges(total: int, servers: int, ranges: tuple[tuple[int, int], ...]) -> None:
    assert cut(total, servers) == ranges


def test_more_servers_than_parameters_are_refused() -> None:
    with pytest.raises(ParameterServerError, match="servers = 4: accepted is at most 3"):
        cut(3, 4)
