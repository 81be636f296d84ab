"""A release's plan: how a challenger gets its traffic, what guards it, and what ends it.

Written as YAML or sent as JSON; it is checked as a whole before anything happens. What only the registry or the
route table can tell (does the version exist, does its call have side effects) is checked by ``admission``.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from app.errors import InvalidArgumentError

Strategy = Literal["canary", "blue_green", "shadow", "ab"]
Gate = Literal["judge", "time", "person"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*")


class PlanError(InvalidArgumentError, ValueError):
    """A plan that cannot be honoured; each line names a field, its value and what would be accepted."""


def _seconds(value: Any) -> Any:
    """A duration such as ``90s``, ``5m`` or ``2h``; a bare number counts seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # pydantic would not take it for a refusal
            raise ValueError("accepted is a number of seconds below 1e308") from None
    return _quantity(value, bare_unit="s")


def _latency(value: Any) -> Any:
    """A latency such as ``250ms`` or ``0.3s``: it must say its unit. In whole nanoseconds, as it is stored: what is
    read again must be the same, to the letter."""
    if isinstance(value, str):
        return round(_quantity(value, bare_unit=None), 9)
    raise ValueError("a latency objective needs its unit: accepted is text such as 250ms or 0.3s")


def _quantity(text: str, bare_unit: str | None) -> float:
    found = _QUANTITY.fullmatch(text)
    unit = (found[2] or bare_unit) if found else None
    if found is None or unit not in _UNITS:
        raise ValueError(f"accepted is a number with a unit ({', '.join(_UNITS)}), such as 250ms or 5m")
    return float(found[1]) * _UNITS[unit]


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Latency = Annotated[
    float,
    BeforeValidator(_latency),
    PlainSerializer(lambda seconds: f"{seconds:.9f}s", return_type=str),
    Field(gt=0, allow_inf_nan=False),
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
MARGIN = 0.005
OddsRatio = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Errors(_Frozen):
    """Requests that the picked version did not answer.

    Attributes:
        tolerance: the odds ratio, challenger to champion, that is still no worse.
        margin: difference of the two shares that passes whatever the odds: where next to nothing fails, odds can
            never be told apart. 0 leaves it to the odds.
    """

    metric: Literal["errors"]
    tolerance: OddsRatio = 1.0
    margin: Margin = MARGIN


class SlowAnswers(_Frozen):
    """Answers that took longer inside the version than an objective; ``tolerance`` and ``margin`` as of errors."""

    metric: Literal["latency"]
    objective: Latency = Field(description="Time inside the version, with its unit (250ms)")
    tolerance: OddsRatio = 1.0
    margin: Margin = MARGIN


class Quality(_Frozen):
    """What an answer was worth, once its label arrived.

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


class Drift(_Frozen):
    """How far the mean of an output lies from the champion's, either way.

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


class Agreement(_Frozen):
    """Mirrored requests to which the two versions gave different answers.

    Attributes:
        output: name of the output compared; ``within``: largest difference that still agrees (text: equal).
        tolerance: accepted share of different answers.
    """

    metric: Literal["agreement"]
    output: str
    within: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05


Guard = Annotated[Errors | SlowAnswers | Quality | Drift | Agreement, Field(discriminator="metric")]


class Step(_Frozen):
    """One share of the traffic, and what must hold before the next.

    Attributes:
        weight: the challenger's share.
        min_duration: time at this share at least, seconds; min_samples: requests judged at least, per arm.
        max_duration: time after which a gate that did not open counts as undecided; None waits.
        gate: ``judge`` opens at its verdict ``pass``; ``time`` once the minima are reached; ``person`` when told to.
            Whatever the gate, the verdict ``fail`` rolls back.
    """

    weight: Share
    min_duration: Duration = 0.0
    min_samples: Annotated[int, Field(ge=0)] = 0
    max_duration: Duration | None = None
    gate: Gate = "judge"

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ValueError(f"max_duration {self.max_duration:g} s is below min_duration {self.min_duration:g} s")
        return self


class ReleasePlan(_Frozen):
    """A validated plan.

    Attributes:
        strategy: ``canary``: rising shares; ``blue_green``: one step at weight 0, then all at once; ``shadow``: one
            step at weight 0 with mirrored traffic; ``ab``: one step with a fixed share.
        steps: in their order; after the last one the challenger gets everything.
        guards: what the judge looks at; at least one where a step's gate is the judge.
        alpha: probability, over the whole release, that a challenger no worse than tolerated is taken back.
        beta: the same that one worse than tolerated passes.
        when_undecided: what a step does whose ``max_duration`` is over.
        promotion: ``automatic``, or ``confirmed`` by a person before the challenger gets everything.
        scale_down_delay: time the old champion is kept after the switch, for an instant way back, seconds.
        mirror: share of the champion's requests that the challenger answers too, unseen by callers.
        pinned: ids of the API keys whose requests may choose a version by header; ``*`` for every caller.
    """

    strategy: Strategy
    steps: tuple[Step, ...] = Field(min_length=1)
    guards: tuple[Guard, ...] = ()
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.05
    when_undecided: Literal["hold", "promote", "roll_back"] = "hold"
    promotion: Literal["automatic", "confirmed"] = "automatic"
    scale_down_delay: Duration = 30.0
    mirror: Share = 0.0
    pinned: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = [*_of_steps(self), *_of_guards(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def judged(self) -> bool:
        """Whether a gate waits for the judge's ``pass``."""
        return any(step.gate == "judge" for step in self.steps)


def _of_steps(plan: ReleasePlan) -> list[str]:
    weights = [step.weight for step in plan.steps]
    found = []
    if plan.strategy == "canary":
        if not all(0 < weight < 1 for weight in weights):
            found.append(f"steps: weights {weights} of a canary must lie between 0 and 1; after the last comes all")
        if any(later <= earlier for earlier, later in pairwise(weights)):
            found.append(f"steps: the weights of a canary must rise, these do not: {weights}")
    elif len(plan.steps) != 1:
        found.append(f"steps: {plan.strategy} has one step, not {len(plan.steps)}")
    elif plan.strategy == "ab":
        if not 0 < weights[0] < 1:
            found.append(f"steps[0].weight {weights[0]:g}: an ab release needs a share between 0 and 1")
    elif weights[0] != 0:
        found.append(
            f"steps[0].weight {weights[0]:g}: {plan.strategy} gives no traffic before the switch: accepted is 0"
        )
    if plan.strategy == "shadow" and not plan.mirror:
        found.append("mirror 0: a shadow release needs the share of requests to mirror, above 0 to 1")
    for index, step in enumerate(plan.steps):
        if step.gate != "person" and not (step.min_duration or step.min_samples or step.gate == "judge"):
            found.append(f"steps[{index}]: the gate {step.gate} needs min_duration or min_samples")
        if step.gate == "judge" and not step.weight and not plan.mirror:
            found.append(f"steps[{index}].gate judge: weight 0 without mirror gives the judge nothing to look at")
        if step.min_samples and not step.weight and not plan.mirror:
            found.append(f"steps[{index}].min_samples {step.min_samples}: weight 0 without mirror gives no samples")
    return found


def _of_guards(plan: ReleasePlan) -> list[str]:
    found = []
    names = [guard.metric for guard in plan.guards]
    twice = sorted({name for name in names if names.count(name) > 1})
    found += [f"guards: {name} is there {names.count(name)} times; accepted is once" for name in twice]
    if plan.judged and not plan.guards:
        found.append("guards: a step's gate is the judge, who needs at least one guard")
    if "agreement" in names and not plan.mirror:
        found.append("guards: agreement compares mirrored requests; it needs mirror above 0")
    return found


def parse(document: Any) -> ReleasePlan:
    """A plan from plain values.

    Raises:
        PlanError: it cannot be honoured.
    """
    if not isinstance(document, dict):
        raise PlanError(f"a plan is a mapping with strategy, steps and guards, not {type(document).__name__}")
    try:
        return ReleasePlan.model_validate(document)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            field = ".".join(str(part) for part in problem["loc"]) or "plan"
            value = problem["input"]
            shown = "" if isinstance(value, dict | list | BaseModel) else f" {value!r}"
            lines.append(f"{field}{shown}: {problem['msg'].removeprefix('Value error, ')}")
        raise PlanError("\n".join(lines)) from None


def plain_values(text: str, where: str) -> Any:
    """What YAML says.

    Args:
        where: it was found, for the error.

    Raises:
        PlanError: it is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except Exception as error:  # not only YAMLError: a date or a number that is none raises whatever Python raises
        raise PlanError(f"{where} is not YAML: {error}") from None


def load(path: Path) -> ReleasePlan:
    """A plan from a YAML file.

    Raises:
        PlanError: the file cannot be read, is no YAML, or the plan cannot be honoured.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not YAML: {error}") from error
    return parse(plain_values(text, str(path)))
