"""The docstring of each package is the map of its folder: it names every module and every package in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [init.parent for top in ("app", "cluster", "jobs") for init in sorted((ROOT / top).rglob("__init__.py"))]


def _contents(folder: Path) -> set[str]:
    modules = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("__")}
    return modules | {init.parent.name for init in folder.glob("*/__init__.py")}


def _unnamed(folder: Path) -> list[str]:
    """Contents of ``folder`` that no double backticks of its docstring begin with (``name``, ``name.part``)."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    named = {re.split(r"[./]", quoted)[0] for quoted in re.findall(r"``([^`]+)``", text)}
    return sorted(_contents(folder) - named)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_map_of_a_package_names_all_that_is_in_it(folder: Path) -> None:
    assert _unnamed(folder) == []


def test_module_that_the_map_leaves_out_is_found(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text('"""``one.f`` calls ``inner/``, which has no other."""\n')
    for path in ("one.py", "other.py", "__main__.py", "inner/__init__.py", "data/table.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("")
    assert _unnamed(tmp_path) == ["other"]
