"""The command ``tidegate`` as a whole: its help, its groups, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.exit_codes import EXIT_CODES
from jobs.cli import COMMANDS, main
from jobs.cli.bench import BENCHMARKS
from jobs.cli.kube import VERBS
from jobs.cli.lazy import LazyCommand, load

HEAVY = {
    "ray",
    "mlflow",
    "torch",
    "pandas",
    "numpy",
    "pydantic",
    "kubernetes",
    "sklearn",
    "redis",
    "aiohttp",
    "httpx",
}
IMPORTED = """
import sys
from pathlib import Path
sys.argv = ["tidegate", "--help"]
from jobs.cli import main
code = main()
print("IMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def test_help_imports_no_group() -> None:
    """Its time is that of its imports, which are counted instead of measured beside other tests."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, timeout=60)
    text, _, imported = done.stdout.rpartition("IMPORTED")
    assert not HEAVY & set(imported.split())
    for name, row in COMMANDS.items():
        assert name in text
        assert row.help in text


@pytest.mark.parametrize("row", [*COMMANDS.values(), *VERBS.values(), *BENCHMARKS.values()])
def test_every_listed_command_exists(row: LazyCommand) -> None:
    assert load(row).registered_commands or load(row).registered_callback


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relase"]) == 2
    assert "relase" in capsys.readouterr().err


def test_exit_codes_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exit-codes", "--json"]) == 0
    assert [row["code"] for row in json.loads(capsys.readouterr().out)] == [row.code for row in EXIT_CODES]


def test_exit_codes_fit_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exit-codes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(EXIT_CODES) + 1
    assert max(map(len, lines)) <= 120


def test_closed_pipe_ends_quietly() -> None:
    code = "import sys; from jobs.cli import main; sys.exit(main(['exit-codes']))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.close()
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (141, b"")


@pytest.mark.parametrize(
    ("words", "completed"),
    [("tidegate rel", "release"), ("tidegate release pro", "promote"), ("tidegate release show --fo", "--follow")],
)
def test_shell_completion_reaches_groups_and_options(
    words: str, completed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    monkeypatch.setenv("_TIDEGATE_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == [completed]


@pytest.mark.parametrize(
    ("arguments", "adopted"), [(["local", "status"], None), (["versions", "weights", "flights", "1"], "1")]
)
def test_environment_of_a_running_stack_is_for_drivers_only(
    arguments: list[str], adopted: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second stack must not inherit the first one's, and a job must find its cluster."""
    (tmp_path / "stack.env").write_text("RAY_OF_A_TEST=1\n")
    monkeypatch.setenv("TIDEGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("RAY_OF_A_TEST", "removed after the test")
    monkeypatch.delenv("RAY_OF_A_TEST")
    main(arguments)
    assert os.environ.get("RAY_OF_A_TEST") == adopted
