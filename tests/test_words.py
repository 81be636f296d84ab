"""The glossary holds: words that were given up do not come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.words import findings, python_files

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("folder", ["app", "cluster", "jobs", "tests"])
def test_no_word_that_was_given_up_is_in_the_code(folder: str) -> None:
    assert [line for file in python_files([ROOT / folder]) for line in findings(file)] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class Door: ...", "identifier Door"),
        ("class A:\n    told: int", "identifier told"),
        ("MOST_ROWS = 3", "identifier MOST_ROWS"),
        ("def f():\n    'What it is.'", "docstring"),
        ('def f():\n    "One gateway replica\'s."', "docstring"),
        ("print('it waits in vain')", "'in vain'"),
        ("x = 1  # nobody reads it", "'nobody'"),
    ],
)
def test_word_that_was_given_up_is_found(source: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(source + "\n")
    found = findings(file)
    assert len(found) == 1
    assert expected in found[0]


def test_plain_module_has_no_findings(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Rows of a table."""\n\n\ndef rows() -> int:\n    """Count the rows."""\n    return 1\n')
    assert findings(file) == []
