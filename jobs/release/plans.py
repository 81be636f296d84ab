"""Release plans by name: a file, or one of those in ``jobs/plans``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from app.releases.model.plan import PlanError, load

SHIPPED = Path(__file__).parents[1] / "plans"


def names() -> list[str]:
    """Returns the names of the shipped plans, sorted."""
    return sorted(found.stem for found in SHIPPED.glob("*.yaml"))


def find(name: str) -> Path:
    """Returns a plan's file by path, or by the name of a shipped one, with or without ``.yaml``.

    Raises:
        PlanError: there is neither.
    """
    path, shipped = Path(name), SHIPPED / f"{name.removesuffix('.yaml')}.yaml"
    if path.is_file():
        return path
    if shipped.is_file():
        return shipped
    raise PlanError(f"--plan {name}: no such file; shipped are {', '.join(names())}")


def read(name: str) -> dict[str, Any]:
    """Returns a plan as plain values, checked before it is sent.

    Raises:
        PlanError: there is none, or it cannot be honoured.
    """
    path = find(name)
    load(path)
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document
