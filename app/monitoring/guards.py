"""Guards of a release: what each one measures of an answer, and the hypothesis that the judge tests about it. Pure.

A guard is one class: the fields that a plan sets, the loss of one answer or of a mirrored pair, and its test.
``GUARDS`` is the one list of them. Plans, the gateway replicas that measure, and the judge all work by it, so that a
new guard is a class here and an entry there.

Every loss lies in 0 to 1. By default a mirrored request counts as a pair of the losses of both answers.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from app.monitoring.sums import Arm, Sample

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*")
MARGIN = 0.005

Outputs = Mapping[str, NDArray[Any]]


class Answer(Protocol):
    """One answer of a version, as far as guards look at it."""

    @property
    def outputs(self) -> Outputs | None:
        """Output name -> values; None without an answer."""

    @property
    def version_s(self) -> float:
        """Time inside the version, seconds; 0 where it is not known."""


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """Test of a 0/1 loss: the odds of challenger to champion exceed ``tolerance``; a difference of the shares below
    ``margin`` passes whatever the odds."""

    tolerance: float
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """Test of a loss in 0 to 1: the mean of the challenger exceeds the champion's by more than ``tolerance``.

    Attributes:
        two_sided: a difference downwards counts as much.
    """

    tolerance: float
    two_sided: bool = False


Test = OddsRatio | MeanDifference


def seconds(text: str, bare_unit: str | None) -> float:
    """A quantity of time in seconds.

    Args:
        bare_unit: unit of a number without one; None: it must have one.

    Raises:
        ValueError: it is none; the message says what is accepted.
    """
    found = _QUANTITY.fullmatch(text)
    unit = (found[2] or bare_unit) if found else None
    if found is None or unit not in UNITS:
        raise ValueError(f"accepted is a number with a unit ({', '.join(UNITS)}), such as 250ms or 5m")
    return float(found[1]) * UNITS[unit]


def _latency(value: Any) -> Any:
    """A latency such as ``250ms`` or ``0.3s``, with its unit. In whole nanoseconds, as it is stored: what is read
    again must be the same, to the letter."""
    if isinstance(value, str):
        return round(seconds(value, bare_unit=None), 9)
    raise ValueError("a latency objective needs its unit: accepted is text such as 250ms or 0.3s")


Latency = Annotated[
    float,
    BeforeValidator(_latency),
    PlainSerializer(lambda value: f"{value:.9f}s", return_type=str),
    Field(gt=0, allow_inf_nan=False),
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Odds = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class Guard(BaseModel, ABC):
    """Base of all guards. Frozen, as a plan holds it.

    Attributes:
        metric: its name in plans, samples and reports.
        needs_mirror: it compares the two answers to one mirrored request.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    needs_mirror: ClassVar[bool] = False

    @abstractmethod
    def test(self) -> Test:
        """The hypothesis that the judge tests."""

    def output_name(self) -> str | None:
        """The output that it reads, which the challenger must have; None: it reads none."""
        return None

    def loss_of(self, answer: Answer) -> float | None:
        """The loss of one answer, 0 to 1; None where it says nothing, or where something else measures the guard."""
        return None

    def of_answer(self, answer: Answer, arm: Arm) -> list[Sample]:
        """Samples of a request that one version answered."""
        loss = self.loss_of(answer)
        return [] if loss is None else [(self.metric, arm, loss)]

    def of_pair(self, champion: Answer, challenger: Answer) -> list[Sample]:
        """Samples of a mirrored request that both versions answered."""
        first, second = self.loss_of(champion), self.loss_of(challenger)
        return [] if first is None or second is None else worse(f"{self.metric}/pairs", second, first)


def worse(metric: str, challenger: float, champion: float) -> list[Sample]:
    """Samples of one pair: by how much each arm's loss was the larger one. The sum of the differences and the sum of
    their squares follow from these, as they would not from sums of the losses themselves."""
    return [
        (metric, "challenger", float(max(challenger - champion, 0))),
        (metric, "champion", float(max(champion - challenger, 0))),
    ]


class ErrorGuard(Guard):
    """Requests that the picked version did not answer. They are counted of every release, with this guard or without.

    Attributes:
        tolerance: the odds ratio, challenger to champion, that is still no worse.
        margin: difference of the two shares that passes whatever the odds: where next to nothing fails, odds can
            never be told apart. 0 leaves it to the odds.
    """

    metric: Literal["errors"]
    tolerance: Odds = 1.0
    margin: Margin = MARGIN

    def test(self) -> Test:
        return OddsRatio(self.tolerance, self.margin)


class LatencyGuard(Guard):
    """Answers that took longer inside the version than an objective; ``tolerance`` and ``margin`` as of errors."""

    metric: Literal["latency"]
    objective: Latency = Field(description="Time inside the version, with its unit (250ms)")
    tolerance: Odds = 1.0
    margin: Margin = MARGIN

    def test(self) -> Test:
        return OddsRatio(self.tolerance, self.margin)

    def loss_of(self, answer: Answer) -> float | None:
        # not known where the request waited for another one's answer
        return float(answer.version_s > self.objective) if answer.version_s else None


class QualityGuard(Guard):
    """The loss of an answer once its label has arrived; the label join measures it (``app.monitoring.labels``).

    Attributes:
        loss: ``error`` (0/1: on which side of ``threshold`` the output lies) or ``brier`` (squared difference).
        output: name of the output that holds the probability of label 1; its first value counts.
        tolerance: odds ratio for ``error``, difference of the mean losses for ``brier``.
    """

    metric: Literal["quality"]
    loss: Literal["error", "brier"] = "brier"
    output: str
    threshold: Share = 0.5
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _tolerance_fits(self) -> Self:
        if self.loss == "error" and self.tolerance < 1:
            raise ValueError(f"tolerance {self.tolerance:g}: of 0/1 errors it is an odds ratio, from 1")
        if self.loss == "brier" and self.tolerance >= 1:
            raise ValueError(f"tolerance {self.tolerance:g}: of Brier losses it is a difference, below 1")
        return self

    def test(self) -> Test:
        return OddsRatio(self.tolerance) if self.loss == "error" else MeanDifference(self.tolerance)

    def output_name(self) -> str:
        return self.output


class DriftGuard(Guard):
    """The distance between the mean of an output and the champion's, either way.

    Attributes:
        low, high: range of the output; values outside count as its ends.
        tolerance: accepted difference of the means, as a share of the range.
    """

    metric: Literal["drift"]
    output: str
    low: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    high: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g}, high {self.high:g}: low must lie below high")
        if math.isinf(self.high - self.low):
            raise ValueError(f"low {self.low:g}, high {self.high:g}: they lie too far apart for their difference")
        return self

    def test(self) -> Test:
        return MeanDifference(self.tolerance, two_sided=True)

    def output_name(self) -> str:
        return self.output

    def loss_of(self, answer: Answer) -> float | None:
        return None if answer.outputs is None else self.position(answer.outputs)

    def position(self, outputs: Outputs) -> float | None:
        """The place of the output's mean in the range, 0 to 1, its values cut to the range first; missing ones (NaN)
        are left out. None where there is no such output, or no number in it."""
        array = outputs.get(self.output)
        if array is None or not array.size or not _is_number(array):
            return None
        if array.size == 1:  # numpy takes ten times as long
            value = float(array.item())
            if math.isnan(value):
                return None
            mean = min(max(value, self.low), self.high)
        else:
            values = array.astype(np.float64)
            values = np.clip(values[~np.isnan(values)], self.low, self.high)
            if not values.size:
                return None
            mean = float(values.mean())
        return min(max((mean - self.low) / (self.high - self.low), 0.0), 1.0)


class AgreementGuard(Guard):
    """Mirrored requests to which the two versions gave different answers.

    Attributes:
        output: name of the output compared; ``within``: largest difference that still agrees (text: equal).
        tolerance: accepted share of different answers.
    """

    metric: Literal["agreement"]
    output: str
    within: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05

    needs_mirror: ClassVar[bool] = True

    def test(self) -> Test:
        return MeanDifference(self.tolerance)

    def output_name(self) -> str:
        return self.output

    def of_pair(self, champion: Answer, challenger: Answer) -> list[Sample]:
        if champion.outputs is None or challenger.outputs is None:
            return []
        apart = self.differ(champion.outputs, challenger.outputs)
        if apart is None:
            return []
        return [(self.metric, "challenger", float(apart)), (self.metric, "champion", 0.0)]

    def differ(self, champion: Outputs, challenger: Outputs) -> bool | None:
        """True where two answers differ; None where the champion gives no such output. Two missing numbers (NaN)
        agree."""
        first, second = champion.get(self.output), challenger.get(self.output)
        if first is None:
            return None
        if second is None or first.shape != second.shape:
            return True
        if _is_number(first) != _is_number(second):
            return True
        if not _is_number(first):
            return bool(first.tolist() != second.tolist())
        # as float64: the difference of unsigned or narrow numbers may not be one of theirs
        close = np.isclose(
            first.astype(np.float64), second.astype(np.float64), rtol=0.0, atol=self.within, equal_nan=True
        )
        return not close.all()


GUARDS: dict[str, type[Guard]] = {
    "errors": ErrorGuard,
    "latency": LatencyGuard,
    "quality": QualityGuard,
    "drift": DriftGuard,
    "agreement": AgreementGuard,
}
"""Every guard by its metric."""


class _ByMetric:
    """A guard of ``GUARDS``, told apart by its metric."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {metric: handler.generate_schema(guard) for metric, guard in GUARDS.items()}
        return core_schema.tagged_union_schema(choices, discriminator="metric")


AnyGuard = Annotated[Guard, _ByMetric()]


def _is_number(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "biuf"
