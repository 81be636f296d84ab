"""Shares the tests out to the workers of pytest-xdist by the groups that ``conftest.py`` gives them.

xdist's own ``loadgroup`` writes a group into the test's id, which pytest 9.2 no longer lets it do: every test is a
group of its own there, and every worker starts a stack. Here the workers write the groups into a file that the
scheduler reads once they have collected.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS_FILE = "groups_file"
"""Key of the file's path in what the controller hands to each worker."""


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Runs the tests of one group in one worker, in the order of their collection.

    Args:
        groups: the file that the workers write.
    """

    def __init__(self, config: pytest.Config, log: Any, groups: Path) -> None:
        super().__init__(config, log)
        self._groups = groups

    @cached_property
    def _group_of(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._groups.read_text())
        return found

    def _split_scope(self, nodeid: str) -> str:
        return self._group_of[nodeid]


def write_groups(config: pytest.Config, groups: dict[str, str]) -> None:
    """Writes the group of each test by its id, where this process is a worker; the last of several is as good."""
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is not None:
        file = Path(worker[GROUPS_FILE])
        part = file.with_suffix(f".{worker['workerid']}")
        part.write_text(json.dumps(groups))
        part.replace(file)
