"""The page of the commands, and the help that it is written from."""

from __future__ import annotations

import importlib

import pytest

from jobs.cli import COMMANDS
from jobs.cli.reference import README, with_tables

HELP_COLUMNS = 78
"""Width at which typer breaks a line of help on a terminal of 80 columns."""


def test_page_has_the_tables_of_the_commands_as_they_are() -> None:
    text = README.read_text()
    assert with_tables(text) == text, "write it anew: python -m jobs.cli.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_are_not_broken(name: str) -> None:
    text = getattr(importlib.import_module(COMMANDS[name].module.partition(":")[0]), "HELP", "").partition(
        "\n\nFields of"
    )[0]
    too_long = [line for line in text.partition("\n")[2].splitlines() if len(line) > HELP_COLUMNS]
    assert [line for line in too_long if not line.startswith("Shipped")] == []
