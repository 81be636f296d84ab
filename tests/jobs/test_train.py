"""``python -m jobs.train``: what it refuses before anything starts."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.train", *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--config", "absent"],
            "--config absent: no such file; shipped are 8b-64gpu, ",
        ),
        (["--config", "flights-static", "--set", "epochs=-1"], "epochs = -1: "),
        (["--config", "flights-static", "--set", "options.colour=blue"], "options.colour = 'blue': "),
        (
            ["--config", "flights-static", "--set", "recipe=absent"],
            "recipe = 'absent': accepted are bytelm, flights, or package.module:Class",
        ),
        (["--config", "flights-static", "--workers", "3"], "batch_size = 2048: 3 data-parallel ranks"),
    ],
)
def test_refused_with_exit_code_2(arguments: list[str], sentence: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_every_field() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for word in ("learning_rate", "checkpoint_every", "flights", "ray job submit", "Exit code"):
        assert word in ended.stdout
