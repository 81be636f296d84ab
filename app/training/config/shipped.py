"""Configurations that come with the project, found by name."""

from __future__ import annotations

from pathlib import Path

from app.training.config.train_config import ConfigError

CONFIGS = Path(__file__).parents[3] / "jobs" / "configs"


def find_config(name: str) -> Path:
    """Returns a configuration's file, by path or by the name of a shipped one.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    shipped = CONFIGS / f"{name}.yaml"
    if not path.is_file() and shipped.is_file():
        return shipped
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in CONFIGS.glob("*.yaml")))
        raise ConfigError(f"--config {name}: no such file; shipped are {names}")
    return path
