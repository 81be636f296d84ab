"""Sharing of a machine by tests: turns of Ray clusters, signals of a session in the background."""

from __future__ import annotations

import fcntl
import signal
from pathlib import Path

import pytest

from tests.conftest import pytest_configure
from tests.support.turns import turn


def test_turn_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with turn(lock), lock.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_session_in_the_background_can_be_interrupted(pytestconfig: pytest.Config) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pytest_configure(pytestconfig)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
