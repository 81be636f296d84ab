"""The main job against the session's stack, at a quicker pace: every promise holds, and the summary says so."""

from __future__ import annotations

import asyncio
import json
import time
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from app.features.clock import CLOCK_KEY
from app.features.ledger import POSITION_KEY
from app.redis_client import connect
from app.settings import Settings
from jobs.run.freshness import Freshness
from jobs.run.pace import Pace
from jobs.run.progress import Progress
from jobs.run.story import tell
from jobs.run.summary import Replayed, show, summarize
from jobs.run.tally import Tally


@pytest.fixture(scope="module")
def told(driver: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The summary, and what was printed on the way."""
    features = driver.features.model_copy(update={"storage": str(tmp_path_factory.mktemp("features"))})
    settings = driver.model_copy(update={"features": features})
    console = Console(file=StringIO(), width=140)
    pace = Pace(rate=40, share_seconds=6, workers=2)
    summary = asyncio.run(tell(settings, pace, Progress(console), time.monotonic()))
    show(console, summary, {})
    assert isinstance(console.file, StringIO)
    return summary, console.file.getvalue()


def test_every_promise_held(told: tuple[dict[str, Any], str]) -> None:
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
    static, online = (found["features"] for found in versions.values())
    assert static["replies"] == 0
    assert online["replies"] == versions[summary["champion"]]["requests"]
    assert online["fresh"] + online["stale"] + online["missing"] == 17 * online["replies"]
    assert summary["replayed_events"] > 0
    json.dumps(summary)


async def test_the_store_has_the_time_of_the_wall_again(told: tuple[dict[str, Any], str], driver: Settings) -> None:
    redis = connect(driver.redis)
    assert await redis.get(CLOCK_KEY) is None
    assert await redis.get(POSITION_KEY) is not None
    await redis.aclose()


def test_the_output_tells_it(told: tuple[dict[str, Any], str]) -> None:
    _, shown = told
    for sentence in (
        "ray job submit -- python -m jobs.train --config flights-online",
        "ray job submit -- python -m jobs.materialize --recipe flights --until 2013-10-01 --fresh",
        "rows read online",
        "0 failed",
        "0 keys moved back",
    ):
        assert sentence in shown


@pytest.mark.parametrize(
    ("features", "broken"),
    [
        (Freshness(replies=1, fresh=17), "1 answers of version 2 did without features"),
        (Freshness(replies=2, fresh=17, degraded=1), "the feature store gave no answer for 1 requests"),
        (Freshness(replies=2, fresh=30, stale=4), "30 of 34 feature rows were fresh, expected are 90%"),
    ],
)
def test_features_that_were_not_read_break_a_promise(features: Freshness, broken: str) -> None:
    tally = Tally(["1", "2"])
    tally.versions["2"].requests = 2
    tally.versions["2"].features = features
    summary = summarize([], tally, Replayed(0, 0), alias="2", promoted="2", removed="1", seconds=1.0)
    assert summary["broken"] == [broken]


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
