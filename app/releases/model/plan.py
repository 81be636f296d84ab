"""A release's plan: how a challenger gets its traffic, what guards it, and what ends it.

Written as YAML or sent as JSON; it is checked as a whole before anything happens. What only the registry or the
route table can tell (does the version exist, does its call have side effects) is checked by ``release_admission``.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from app.errors import InvalidArgumentError
from app.monitoring.guards import AnyGuard, Share, seconds

Strategy = Literal["canary", "blue_green", "shadow", "ab"]
Gate = Literal["judge", "time", "person"]


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
    return seconds(value, bare_unit="s")


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    guards: tuple[AnyGuard, ...] = ()
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
        """True where a gate waits for the judge's ``pass``."""
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
    for guard in plan.guards:
        if guard.needs_mirror and not plan.mirror:
            found.append(f"guards: {guard.metric} compares mirrored requests; it needs mirror above 0")
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
    """The plain values in a YAML text.

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
