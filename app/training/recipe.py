"""The interface of a recipe. Recipes implement it; the engine never imports one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray
from torch import Generator, Tensor, nn

if TYPE_CHECKING:  # every worker imports this module, and needs neither MLflow nor matplotlib
    from matplotlib.figure import Figure
    from torch.distributed.tensor.parallel import ParallelStyle

    from app.registry import ModelPackage

Columns = Mapping[str, NDArray[Any]]
"""Named arrays that share their first dimension (rows)."""


def row_count(columns: Columns) -> int:
    """Returns the number of rows that ``columns`` share."""
    return len(next(iter(columns.values())))


Balance = Callable[[nn.Module, Mapping[str, Tensor]], None]
"""Changes a model, or a pipeline stage of it, in place by its experts' loads: how many tokens each expert got of a
step's global batch, (experts,), int64, by name as in ``ParallelPlan.experts``."""


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
    """Quality of a model on the held-out rows: values by metric name and plots by file stem."""

    metrics: Mapping[str, float]
    figures: Mapping[str, Figure] = field(default_factory=dict)


class Recipe(Protocol):
    """A model, its data and its loss. An instance is cheap to build and to pickle; work happens in the methods."""

    @property
    def name(self) -> str:
        """The recipe's name, as in a configuration file."""

    def prepare(self) -> Data:
        """Computes the training and test rows. Deterministic: the same installation gives the same fingerprint."""

    def build(self, data: Data) -> nn.Module:
        """A freshly initialised, plain single-device model; sizes and constants (vocabularies, scales) come
        from the training rows only. Initial weights follow torch's global seed."""

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean loss over the rows of a batch, a scalar."""

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Metrics and plots on the held-out rows. The model is on the CPU and in eval mode."""

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """Writes what a server needs below ``folder`` (no pickle) and describes it."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a model that a layout must divide.

    Attributes:
        heads: query heads of each attention; kv_heads: those of its keys and values.
        feed_forward: inner width of each feed-forward network, or of each expert.
        classes: width of the output.
        sequence: positions per row.
        width: of what passes from block to block.
        experts: of each mixture of experts; 0: there is none. Each token takes ``chosen`` of them.
    """

    heads: int
    kv_heads: int
    feed_forward: int
    classes: int
    sequence: int
    width: int
    experts: int = 0
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class ParallelPlan:
    """Cut points of a model. Names are those of ``named_modules``; what is left out is not possible.

    Attributes:
        blocks: the repeated modules, in order: units of sharding, checkpointing and compilation, and where a
            pipeline stage may begin.
        chain: every module of a stage-wise forward pass in the order of the data, the blocks among them. A stage
            that lacks one finds None in its place (an entry of a ModuleDict is removed) and must pass its input on.
        attention: modules that are called with queries, keys and values, each (batch, heads, positions, width), and
            give the shape of the queries; all see the same positions.
        experts: modules that hold the experts of one mixture: every parameter has a first dimension of experts and a
            second of their inner width. They are called with tokens (n, width), those of the first expert first, and
            how many each gets (experts,), for as many experts as their parameters have, and give (n, width).
        balance: called after each backward pass, with the same loads in every layout, so that all ranks make the same
            change; None where nothing balances.
        tensor: tensor-parallel plan by module name, from (sequence_parallel, loss_parallel).
        input: the column that the model is called with, shape (rows, positions, …). A model with ``attention`` also
            takes ``positions`` (rows, positions) by keyword: which of the sequence it was given; None means all.
        target: the column that the criterion is called with.
        flops_per_row: floating-point operations of a row's forward and backward pass, recomputation not counted;
            None where they are not counted.
    """

    shape: ModelShape
    blocks: tuple[str, ...]
    chain: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    experts: tuple[str, ...] = ()
    balance: Balance | None = None
    tensor: Callable[[bool, bool], Mapping[str, ParallelStyle]] | None = None
    input: str = "input"
    target: str = "target"
    flops_per_row: float | None = None


@runtime_checkable
class ParallelRecipe(Recipe, Protocol):
    """A recipe whose model can be cut. Its model is built without memory (on the meta device) and filled tensor by
    tensor, so that no rank holds the whole of it."""

    def parallel_plan(self, data: Data) -> ParallelPlan:
        """Returns the cut points of the model."""

    def initialise(self, name: str, value: Tensor, generator: Generator) -> None:
        """Fills one parameter or buffer, whole and on the CPU, in place; random numbers only from ``generator``."""

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss over rows and positions, a scalar, from the model's output; ``loss`` is this after the model."""
