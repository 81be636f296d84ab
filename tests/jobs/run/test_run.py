"""The demo against the session's stack, at a quicker pace: every promise holds, and the summary says so."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from app.features.checkpoint import POSITION_KEY
from app.features.replay_clock import CLOCK_KEY
from app.redis_client import connect
from app.settings import Settings
from app.terminal import Progress
from jobs.run.labels import LabelCounts
from jobs.run.progress import DemoProgress
from jobs.run.record import Record
from jobs.run.story import Pace, tell
from jobs.run.summary import ReleasesUnderTraffic, show, summarize
from jobs.run.tally import Rise, Tally
from tests.jobs.run.states import state


@pytest.fixture(scope="module")
def finished(driver: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The summary, and the lines that were printed."""
    features = driver.features.model_copy(update={"storage": str(tmp_path_factory.mktemp("features"))})
    settings = driver.model_copy(update={"features": features})
    console = Console(file=StringIO(), width=140)
    pace = Pace(rate=60, share_seconds=3, workers=2)

    async def run() -> dict[str, Any]:
        progress = DemoProgress(Progress(console))
        async with progress.drawn():
            return await tell(settings, pace, progress, time.monotonic())

    summary = asyncio.run(run())
    show(console, summary)
    assert isinstance(console.file, StringIO)
    return summary, console.file.getvalue()


def test_every_promise_is_kept(finished: tuple[dict[str, Any], str]) -> None:
    summary, _ = finished
    assert summary["broken"] == []
    assert summary["ok"] is True
    assert summary["failed_requests"] == 0
    assert summary["keys_moved_back"] == 0
    by_name = {found["configuration"]: found for found in summary["versions"].values()}
    assert list(by_name) == ["static", "online", "shuffled", "strict"]
    assert all(found["requests"] > 0 for found in by_name.values())
    assert by_name["static"]["features"]["replies"] == 0
    online = by_name["online"]["features"]
    assert online["replies"] == by_name["online"]["requests"]
    assert online["fresh"] + online["stale"] + online["missing"] == 17 * online["replies"]
    assert summary["replayed_events"] > 0
    json.dumps(summary)


def test_judge_promotes_the_good_version_and_rolls_the_others_back(finished: tuple[dict[str, Any], str]) -> None:
    summary, _ = finished
    static, online, shuffled, strict = summary["releases"]
    assert [static["end"], online["end"]] == ["promoted", "promoted"]
    for found in (shuffled, strict):
        assert found["end"] == "rolled_back"
        assert found["failed_requests"] == 0
        assert found["seconds_to_decision"] > 0
        assert found["seconds_to_followed"] >= 0
    assert shuffled["reason"].startswith("quality")
    assert strict["reason"].startswith("errors")
    assert strict["fell_over"] > 0
    assert summary["champion"] == online["version"]
    assert summary["labels"]["posted"] > 0


async def test_store_has_the_time_of_the_wall_again(finished: tuple[dict[str, Any], str], driver: Settings) -> None:
    redis = connect(driver.redis)
    assert await redis.get(CLOCK_KEY) is None
    assert await redis.get(POSITION_KEY) is not None
    await redis.aclose()


def test_output_names_jobs_steps_and_figures(finished: tuple[dict[str, Any], str]) -> None:
    _, shown = finished
    for sentence in (
        "ray job submit -- python -m jobs.train --config flights-online",
        "ray job submit -- python -m jobs.materialize --recipe flights --until 2013-10-01 --fresh",
        "step 0: version",
        "e ",
        "rows read online",
        "0 failed",
        "0 keys moved back",
    ):
        assert sentence in shown


def under_traffic(tally: Tally, labels: LabelCounts | None = None) -> ReleasesUnderTraffic:
    return ReleasesUnderTraffic(tally, [], 0, 0, labels or LabelCounts())


def promoted() -> Record:
    record = Record("online", "2", "promoted")
    record.see(state("promoted", 0, 1.0))
    return record


@pytest.mark.parametrize(
    ("features", "broken"),
    [
        (Counter(replies=1, fresh=17), "1 answers of version 2 did without features"),
        (Counter(replies=2, fresh=17, degraded=1), "the feature store gave no answer for 1 requests"),
        (Counter(replies=2, fresh=30, stale=4), "30 of 34 feature rows were fresh, expected are 90%"),
    ],
)
def test_unread_features_break_a_promise(features: Counter[str], broken: str) -> None:
    tally = Tally()
    tally.version("2").requests = 2
    tally.version("2").features = features
    summary = summarize([], [promoted()], under_traffic(tally), {"2": "online"}, alias="2", seconds=1.0)
    assert summary["broken"] == [broken]


def test_broken_promises_are_listed() -> None:
    tally = Tally()
    tally.failures.append("503: gone")
    rise = Rise("1", "2")
    rise.add(0.0, 1.0, "a", "2")
    rise.add(2.0, 3.0, "a", "1")
    tally.rises.append(rise)
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("rolled_back", 9, reason="undecided"))
    summary = summarize(
        [],
        [promoted(), record],
        under_traffic(tally, LabelCounts(dropped=1, refused=2)),
        {"2": "online"},
        alias="1",
        seconds=1.0,
    )
    assert summary["ok"] is False
    json.dumps(summary, allow_nan=False)
    assert summary["broken"] == [
        "1 requests failed, the first with 503: gone",
        "1 times a key moved back to the champion without a way back",
        "version 3 (shuffled) was not rolled back by the judge: undecided",
        "1 labels found no room, 2 were refused",
        "the alias champion is at 1, not at 2",
    ]


def test_version_without_training_has_a_line() -> None:
    tally = Tally()
    tally.failures.append("503: gone")
    console = Console(file=StringIO(), width=160)
    show(console, summarize([], [promoted()], under_traffic(tally), {"4": "strict"}, alias="2", seconds=1.0))
    assert isinstance(console.file, StringIO)
    assert "4 strict" in console.file.getvalue()
    assert "broken promise: 1 requests failed" in console.file.getvalue()
