"""Progress in a log and on a terminal, and errors that end a command."""

from __future__ import annotations

import io

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console

from app.errors import DeadlineExceededError, InvalidArgumentError
from app.terminal import Progress, exit_code_of


def _raising(error: BaseException, highest: int = 255) -> int:
    def command() -> int:
        raise error

    return exit_code_of(command, highest=highest)


@pytest.mark.parametrize(
    ("error", "highest", "code"),
    [
        (DeadlineExceededError("late"), 255, 3),
        (DeadlineExceededError("late"), 2, 1),
        (InvalidArgumentError("wrong"), 2, 2),
        (InvalidArgumentError("wrong"), 1, 1),
    ],
)
def test_error_ends_with_its_exit_code(
    error: Exception, highest: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _raising(error, highest) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_library_error_becomes_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(RedisConnectionError("refused")) == 1
    assert capsys.readouterr().err == "Redis at TIDEGATE_REDIS_URL does not answer: refused\n"


def test_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        _raising(ZeroDivisionError())


def test_log_gets_a_line_of_progress_once() -> None:
    log = io.StringIO()
    with Progress(Console(file=log, width=120), every_s=0) as progress:
        progress.show("1 of 2 [parts]")
        progress.show("1 of 2 [parts]")
        progress.say("one is done")
        progress.show("2 of 2 [parts]")
    assert log.getvalue().splitlines() == ["1 of 2 [parts]", "one is done", "2 of 2 [parts]"]


def test_log_leaves_out_progress_that_comes_too_soon() -> None:
    log = io.StringIO()
    with Progress(Console(file=log, width=120), every_s=3600) as progress:
        progress.show("1 of 2")
        progress.show("2 of 2")
    assert log.getvalue().splitlines() == ["1 of 2"]


def test_terminal_keeps_lines_and_removes_progress() -> None:
    screen = io.StringIO()
    with Progress(Console(file=screen, width=120, force_terminal=True)) as progress:
        progress.show("half way")
        progress.say("one is done")
    assert "one is done\n" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K") or not screen.getvalue().rstrip().endswith("half way")
