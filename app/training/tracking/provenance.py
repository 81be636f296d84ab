"""Provenance of a model: the code, the packages and the machine that trained it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import platform
import subprocess
from pathlib import Path

import app


def code_digest(recipe: type) -> str:
    """SHA-256 over the application's source files and those beside the recipe's own (names and contents), hex.

    Works without git.
    """
    digest = hashlib.sha256()
    root = Path(app.__file__).parent
    beside = Path(inspect.getfile(recipe)).resolve().parent
    for folder in [root] if beside.is_relative_to(root) else [root, beside]:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def git_commit() -> str | None:
    """The commit that the source is at, with ``-dirty`` when it was changed since; None outside a repository."""
    folder = Path(app.__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def packages() -> str:
    """Installed distributions, one ``name==version`` a line, sorted."""
    found = {
        f"{distribution.metadata['Name']}=={distribution.version}"
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"]
    }
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def machine() -> dict[str, str]:
    """Python and operating system."""
    return {"python": platform.python_version(), "platform": platform.platform()}
