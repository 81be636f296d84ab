"""Python environments for servers whose dependencies do not go with ours: made once, in the user's cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.bench.children import ServerError

_DONE = "packages.json"
"""Written last: what is installed, name -> version."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with one requirement, such as ``mlserver==1.7.1``, and what that needs."""

    requirement: str

    @property
    def folder(self) -> Path:
        """The environment's folder, in the user's cache; ``mlserver--1.7.1``."""
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        return cache / "tidegate" / "peers" / self.requirement.translate(str.maketrans("[=", "--", "]"))

    def binary(self, name: str) -> Path:
        """A program in it."""
        return self.folder / "bin" / name

    def versions(self) -> dict[str, str]:
        """Versions of the installed packages by name."""
        found: dict[str, str] = json.loads((self.folder / _DONE).read_text())
        return found

    def make(self, say: Callable[[str], None]) -> None:
        """Make it unless it is there.

        Raises:
            ServerError: pip refused; the message is its last line, and nothing is left.
        """
        if (self.folder / _DONE).is_file():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        say(f"making an environment for {self.requirement} in {self.folder}")
        try:
            _run((sys.executable, "-m", "venv", str(self.folder)), say)
            pip = (str(self.binary("python")), "-m", "pip", "--disable-pip-version-check")
            _run((*pip, "install", "--progress-bar", "off", self.requirement), say)
            listed = subprocess.run((*pip, "list", "--format", "json"), check=True, capture_output=True, text=True)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        packages = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
        (self.folder / _DONE).write_text(json.dumps(packages, indent=1))


def _run(command: tuple[str, ...], say: Callable[[str], None]) -> None:
    last: deque[str] = deque(maxlen=1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                last.append(line.strip())
                say(line.strip())
    if process.returncode:
        raise ServerError(f"{' '.join(command[-2:])}: {last[0] if last else f'ended with {process.returncode}'}")
