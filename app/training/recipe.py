"""What the engine needs to know of a recipe. Recipes implement it; the engine never imports one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:  # every worker imports this module, and needs neither MLflow nor matplotlib
    from matplotlib.figure import Figure

    from app.registry import ModelPackage

Columns = Mapping[str, NDArray[Any]]
"""Named arrays that share their first dimension (rows)."""


@dataclass(frozen=True, slots=True)
class Data:
    """A recipe's data, ready to be indexed by row.

    Attributes:
        train: arrays of the training rows, first dimension = rows.
        test: arrays of the held-out rows.
        fingerprint: SHA-256 over everything in ``train`` and ``test`` (names, types, shapes, bytes), hex.
        facts: plain values worth logging beside the run (row counts, time spans, base rate …).
    """

    train: Columns
    test: Columns
    fingerprint: str
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is on the held-out rows: figures by metric name and plots by file stem."""

    metrics: Mapping[str, float]
    figures: Mapping[str, Figure] = field(default_factory=dict)


class Recipe(Protocol):
    """What is learnt. An instance is cheap to build and to pickle; work happens in the methods."""

    @property
    def name(self) -> str:
        """The recipe's name, as in a configuration file."""

    def prepare(self) -> Data:
        """Compute the training and test rows. Deterministic: the same installation gives the same fingerprint."""

    def build(self, data: Data) -> nn.Module:
        """A freshly initialised, plain single-device model; sizes and constants (vocabularies, scales) come
        from the training rows only. Initial weights follow torch's global seed."""

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean loss over the rows of a batch, a scalar."""

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Metrics and plots on the held-out rows. The model is on the CPU and in eval mode."""

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """Write what a server needs below ``folder`` (no pickle) and describe it."""
