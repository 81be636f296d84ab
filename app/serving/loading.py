"""Loads a version into this process, beside others that may have been loaded before."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from app.registry import RegistryError, connect, download, load
from app.serving.batch import VersionMetadata, metadata_of
from app.serving.scorer import Scorer
from app.serving.serving_entry import serving_settings
from app.settings import Settings

CODE = "code"
"""The folder in which MLflow keeps the files of ``code_paths``."""

_one_at_a_time = threading.Lock()


def load_scorer(settings: Settings, model: str, version: str, folder: Path) -> tuple[Scorer, VersionMetadata]:
    """Loads and warms a version. Blocking.

    Versions bring code files of the same module names, and Python keeps one module per name. So while a version is
    loaded the names of its files are free, and then they are what they were; its functions hold on to their own.

    Args:
        folder: takes the version's files, and must outlive the scorer.

    Raises:
        RegistryError: the registry is away, or does not hold the version; or the version cannot live beside others,
            since it imports code of its own only when it is asked.
    """
    with _one_at_a_time:
        client = connect(settings.mlflow)
        served = serving_settings(client, model, version, settings.serving)
        files = download(client, model, version, folder)
        with _own_modules(files / CODE):
            scorer = Scorer(load(client, model, version, files))
        try:
            with _own_modules(files / CODE):
                scorer.try_example()
        except ImportError as error:
            raise RegistryError(
                f"version {version} of {model} cannot be placed inline: it imports code of its own when it is asked "
                f"({error}); import it in load_context, or keep the version dedicated"
            ) from error
    return scorer, metadata_of(scorer.spec, served)


@contextmanager
def _own_modules(code: Path) -> Iterator[None]:
    """Frees the names of the modules in ``code`` for the block, and keeps none of them."""
    names = {path.stem for path in code.glob("*.py")} | {path.name for path in code.glob("*/")}
    path = list(sys.path)
    held = _taken(names)
    try:
        yield
    finally:
        _taken(names)
        sys.modules.update(held)
        sys.path[:] = path


def _taken(names: set[str]) -> dict[str, ModuleType]:
    """Takes modules of these names, and what is below them, out of ``sys.modules``."""
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}
