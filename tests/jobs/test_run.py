"""The main job against the session's stack, at a quicker pace: every promise holds, and the summary says so."""

from __future__ import annotations

import asyncio
import json
import time
from io import StringIO

import pytest
from rich.console import Console

from app.settings import Settings
from jobs.run.pace import Pace
from jobs.run.progress import Progress
from jobs.run.story import tell
from jobs.run.summary import Replayed, show, summarize
from jobs.run.tally import Tally


@pytest.fixture(scope="module")
def told(driver: Settings) -> tuple[dict[str, object], str]:
    """The summary, and what was printed on the way."""
    console = Console(file=StringIO(), width=140)
    pace = Pace(rate=40, share_seconds=8, workers=2)
    summary = asyncio.run(tell(driver, pace, Progress(console), time.monotonic()))
    show(console, summary, {})
    assert isinstance(console.file, StringIO)
    return summary, console.file.getvalue()


def test_every_promise_held(told: tuple[dict[str, object], str]) -> None:
    summary, _ = told
    assert summary["broken"] == []
    assert summary["ok"] is True
    assert summary["failed_requests"] == 0
    assert summary["keys_moved_back"] == 0
    versions = summary["versions"]
    assert isinstance(versions, dict)
    assert [found["configuration"] for found in versions.values()] == ["static", "online"]
    assert list(versions) == [summary["removed"], summary["champion"]]
    assert all(found["requests"] > 0 for found in versions.values())
    json.dumps(summary)


def test_the_output_tells_it(told: tuple[dict[str, object], str]) -> None:
    _, shown = told
    for sentence in (
        "ray job submit -- python -m jobs.train --config flights-online",
        "0 failed",
        "0 keys moved back",
    ):
        assert sentence in shown


def test_a_broken_promise_is_said() -> None:
    tally = Tally(["1", "2"])
    tally.failures.append("503: nobody")
    tally.moved_back = 2
    summary = summarize([], tally, Replayed(0, 0), alias="1", promoted="2", removed="1", seconds=1.0)
    assert summary["ok"] is False
    assert len(summary["broken"]) == 3
    json.dumps(summary, allow_nan=False)
    assert summary["broken"][0] == "1 requests failed, the first with 503: nobody"
    assert summary["broken"][1] == "2 times a key moved back to the old version"
    assert summary["broken"][2] == "the alias champion is at 1, not at 2"
