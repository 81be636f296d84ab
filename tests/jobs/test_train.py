"""``tidegate train``: refusals before anything starts, signals, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest

from app.training.driver.supervisor import StoppedError
from jobs.cli import main
from jobs.signals import stopped_by_signals
from jobs.train import run as job


def test_refusal_is_one_sentence_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "jobs.train", "--config", "absent"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("--config absent: no such file; shipped are 8b-64gpu, ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "flights-static", "--set", "epochs=-1"], "epochs = -1: "),
        (["--config", "flights-static", "--set", "options.colour=blue"], "options.colour = 'blue': "),
        (
            ["--config", "flights-static", "--set", "recipe=absent"],
            "recipe = 'absent': accepted are bytelm, flights, or package.module:Class",
        ),
        (["--config", "flights-static", "--workers", "3"], "batch_size = 2048: 3 data-parallel ranks"),
    ],
)
def test_wrong_configuration_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_help_names_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in ("learning_rate", "checkpoint_every", "flights", "tidegate kube train", "Exit code"):
        assert word in shown


def test_second_ctrl_c_ends_at_once_after_a_request_to_stop() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with stopped_by_signals() as stop:
            signal.raise_signal(number)
            assert stop.is_set()
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_stopped_run_ends_with_75(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object) -> None:
        raise StoppedError(7)

    monkeypatch.setattr(job, "train", stopped)
    monkeypatch.setattr(job, "connect", lambda settings: None)
    monkeypatch.setattr(job, "cluster", lambda settings: nullcontext())
    assert main(["train", "--config", "bytelm-1m"]) == 75
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"model": "bytelm", "stopped_at_step": 7}
