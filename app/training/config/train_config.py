"""The configuration of a training run: one frozen, validated description, from YAML and flags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.errors import InvalidArgumentError
from app.training.config.parallel_dims import ParallelConfig
from app.training.parameter_server.config import ParameterServerConfig

_WORKERS = re.compile(r"(\d+)(?::(\d+))?")


class ConfigError(InvalidArgumentError, ValueError):
    """A configuration that cannot be run; a line for each field, with its value and what is accepted."""


class TrainConfig(BaseModel):
    """One training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(description="The recipe: a shipped recipe's name, or package.module:Class of your own")
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", description="Name in the registry")
    options: dict[str, Any] = Field(default_factory=dict, description="The recipe's own configuration")
    workers: str = Field("1", description="Worker processes; 2:8 takes any number between, as the cluster has room")
    layout: ParallelConfig = Field(default_factory=ParallelConfig, description="How they share the work (see below)")
    strategy: Literal["collective", "parameter_server"] = Field(
        "collective",
        description="collective: ranks exchange gradients; parameter_server: servers hold the parameters",
    )
    parameter_server: ParameterServerConfig = Field(
        default_factory=ParameterServerConfig, description="The servers (see below)"
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto: GPUs if the cluster has one per worker")
    device_memory_gib: float | None = Field(
        None, gt=0, description="Memory of a device, GiB; --dry-run refuses what needs more"
    )
    seed: int = Field(0, ge=0, description="Initial weights, order of the rows and dropout follow it")
    epochs: int = Field(1, ge=1, description="Passes over the training rows")
    batch_size: int = Field(1024, ge=1, description="Rows per step, all workers together")
    learning_rate: float = Field(1e-3, gt=0, description="Peak, after the warm-up")
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps over which the rate rises; then cosine"
    )
    optimizer: str = Field("adamw", description="adamw, or package.module:NAME of your own (an OptimizerKind)")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay; decoupled from the gradient in adamw")
    clip_norm: float = Field(1.0, gt=0, description="Largest global gradient norm")
    checkpoint_every: int = Field(100, ge=1, description="Steps between checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints that are kept")
    keep_best: int = Field(0, ge=0, description="Checkpoints kept beside them for the lowest loss before them")

    profile: str = Field("", description="Steps to profile, such as 20:25; the trace is logged with the run")

    @field_validator("profile")
    @classmethod
    def _steps(cls, profile: str) -> str:
        if profile:
            parse_steps(profile)
        return profile

    @field_validator("workers", mode="before")
    @classmethod
    def _number_or_range(cls, workers: object) -> str:
        found = _WORKERS.fullmatch(str(workers))
        fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= fewest <= most:
            raise ValueError("accepted is a number from 1, or a range such as 2:8")
        return str(workers)

    @model_validator(mode="after")
    def _one_way_to_share(self) -> TrainConfig:
        if self.strategy == "collective":
            if self.parameter_server != ParameterServerConfig():
                raise ValueError("parameter_server: without effect; accepted is strategy: parameter_server beside it")
            return self
        if self.layout != ParallelConfig():
            raise ValueError("layout: parameter servers have none; accepted is strategy: collective, or no layout")
        if self.min_workers != self.max_workers:
            raise ValueError(f"workers = {self.workers!r}: accepted with parameter servers is a fixed number")
        for name in ("profile", "keep_checkpoints", "keep_best"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} = {getattr(self, name)!r}: without effect on parameter servers")
        if self.device == "gpu":
            raise ValueError("device = 'gpu': parameter servers compute on CPUs; accepted are cpu and auto")
        return self

    @property
    def min_workers(self) -> int:
        """Workers that the run needs at least."""
        return int(self.workers.partition(":")[0])

    @property
    def max_workers(self) -> int:
        """Workers that the run takes at most."""
        return int(self.workers.rpartition(":")[2])


def parse_steps(text: str) -> tuple[int, int]:
    """``20:25`` -> the steps 20 to 24.

    Raises:
        ValueError: not two numbers in rising order.
    """
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise ValueError("accepted are the first step and the one after the last, such as 20:25")
    return int(first), int(end)


class _Loader(yaml.SafeLoader):
    """YAML without base-60 integers, by which YAML 1.1 reads ``2:8`` as 128."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:int"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"), list("-+0123456789")
)


def read_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A configuration file with ``key=value`` overrides (dotted keys reach into ``options``; values are YAML).

    Raises:
        ConfigError: no such file, not a mapping, or a field that is refused.
    """
    try:
        loaded = yaml.load(path.read_text(), _Loader)  # noqa: S506
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold a mapping of field to value")
    for override in overrides:
        _lay_over(loaded, override)
    return parse_config(loaded)


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """Validates plain values.

    Raises:
        ConfigError: every refused field gets a line.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def explain(error: ValidationError, prefix: str = "") -> str:
    """One line per refused field: its dotted name, the value, and what is wrong with it."""
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in (*((prefix,) if prefix else ()), *problem["loc"]))
        value = f" = {problem['input']!r}" if name and not isinstance(problem["input"], dict) else ""
        lines.append(f"{name}{value}: {problem['msg']}".lstrip(": "))
    return "\n".join(lines)


def _lay_over(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: accepted is key=value, such as epochs=3 or options.dropout=0.1")
    *parents, last = key.split(".")
    here = values
    for parent in parents:
        inner = here.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a group")
        here = inner
    try:
        here[last] = yaml.load(text, _Loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {text!r} is not YAML") from error
