"""Data that the driver puts into Ray's object store once, and that its workers read in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray

from app.training.recipe import Columns, Data


@dataclass(frozen=True, slots=True)
class Shared:
    """A recipe's data in the object store: every worker of a node reads the arrays in place.

    Attributes:
        train, test: object reference by column name.
    """

    train: Mapping[str, Any]
    test: Mapping[str, Any]
    fingerprint: str
    facts: Mapping[str, str | int | float]

    @staticmethod
    def put(data: Data) -> Shared:
        """Puts the arrays into the object store."""
        train, test = ({name: ray.put(array) for name, array in part.items()} for part in (data.train, data.test))
        return Shared(train, test, data.fingerprint, data.facts)

    def get(self) -> Data:
        """The data."""
        return Data(_fetched(self.train), _fetched(self.test), self.fingerprint, self.facts)


def _fetched(references: Mapping[str, Any]) -> Columns:
    return dict(zip(references, ray.get(list(references.values())), strict=True))
