"""Answers of the API server that may be kept from us, and versions as it writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cluster.kube.errors import ApiError, UnauthenticatedError

T = TypeVar("T")
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Unknown:
    """An answer that the API server keeps from us, with its own words."""

    why: str


def answer_to(question: Callable[[], T]) -> T | Unknown:
    """Returns the answer, or ``Unknown`` where the server refuses it; ``UnauthenticatedError`` is raised."""
    try:
        return question()
    except UnauthenticatedError:
        raise
    except ApiError as error:
        return Unknown(error.message)


def version_of(words: str) -> tuple[int, int] | None:
    """Returns major and minor of ``v1.36.2`` or ``1.7.0``; ``None`` where there is no version."""
    found = _VERSION.match(words)
    return (int(found[1]), int(found[2])) if found else None


def at_least(floor: tuple[int, int]) -> str:
    """Returns a floor in words."""
    return f"{floor[0]}.{floor[1]} or later"
