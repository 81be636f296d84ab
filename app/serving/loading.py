"""Loads a version into this process, beside others that may have been loaded before."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType

from app.registry import connect, load
from app.serving.batch import VersionCard, card_of
from app.serving.deploy import settings_of
from app.serving.scorer import Scorer
from app.settings import Settings

_one_at_a_time = threading.Lock()


def load_scorer(settings: Settings, model: str, version: str) -> tuple[Scorer, VersionCard]:
    """Load and warm a version. Blocking.

    Versions bring code files of the same module names. Python keeps one module per name, so before each load those
    that came with a version loaded earlier are taken from ``sys.modules``; the functions of that version hold on to
    their own.

    Raises:
        RegistryError: the registry is away, or does not hold the version.
    """
    with _one_at_a_time:
        client = connect(settings.mlflow)
        served = settings_of(client, model, settings.serving)
        before = set(sys.modules)
        path = list(sys.path)
        try:
            scorer = Scorer(load(client, model, version))
        finally:
            brought = [name for name in set(sys.modules) - before if _came_with_a_model(sys.modules[name], path)]
            for name in brought:
                del sys.modules[name]
            sys.path[:] = path
    return scorer, card_of(scorer.spec, served)


def _came_with_a_model(module: ModuleType, path: list[str]) -> bool:
    """Whether a module lies in a folder that loading a model put on the path."""
    file = getattr(module, "__file__", None)
    if file is None:
        return False
    added = [Path(entry) for entry in sys.path if entry not in path]
    return any(Path(file).is_relative_to(folder) for folder in added)
