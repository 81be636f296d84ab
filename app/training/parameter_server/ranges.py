"""Ranges of the flat parameters by server. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from app.training.parameter_server.failures import ParameterServerError


class Range(NamedTuple):
    """Positions ``start <= i < stop`` of the flat parameters."""

    start: int
    stop: int

    @property
    def positions(self) -> slice:
        """The same as an index."""
        return slice(self.start, self.stop)


def cut(total: int, servers: int) -> tuple[Range, ...]:
    """``total`` parameters cut evenly, without regard to where one tensor ends and the next begins.

    Raises:
        ParameterServerError: more servers than parameters.
    """
    if servers > total:
        raise ParameterServerError(f"servers = {servers}: accepted is at most {total}, the number of parameters")
    return tuple(Range(*ends) for ends in pairwise(total * index // servers for index in range(servers + 1)))
