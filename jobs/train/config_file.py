"""The configuration of a training run: a YAML file or a shipped one, with values laid over it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from app.training.config.shipped import CONFIGS, find_config
from app.training.config.train_config import TrainConfig, read_config


def names() -> list[str]:
    """Returns the names of the shipped configurations, sorted."""
    return sorted(found.stem for found in CONFIGS.glob("*.yaml"))


def read_checked(name: str, overrides: Sequence[str], options: Mapping[str, object]) -> TrainConfig:
    """Returns a configuration that has passed all checks that need neither data nor a cluster.

    Args:
        name: a path, or the name of a shipped configuration.
        overrides: ``KEY=VALUE``, the value as YAML.
        options: values of fields that have an option of their own; None leaves a field as it is.

    Raises:
        ConfigError: there is no such file, or it is refused.
    """
    from app.training.config.world_sizes import check_early  # imports torch, which a help page does not need

    given = [f"{field}={json.dumps(value)}" for field, value in options.items() if value is not None]
    config = read_config(find_config(name), [*overrides, *given])
    check_early(config)
    return config
