"""``tidegate materialize``: refusals; rows, replay, stop and restart."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from app.features import Last, OnlineStore, RollingView, ViewRequest
from app.settings import FeaturesSettings, RedisSettings, Settings
from app.terminal import Progress, console
from jobs.cli import main
from jobs.materialize.request import Request, checked
from jobs.materialize.run import StoppedError, fill
from tests.support.valkey import redis, valkey, valkey_stack

__all__ = ["redis", "valkey", "valkey_stack"]

T0 = 1_380_585_600
"""2013-10-01."""
VIEW = RollingView("one", ("key",), "events", {"x": Last("x")}, ttl=86_400)


class TinyRecipe:
    """One view over an event each second."""

    class Config(BaseModel):
        pass

    name = "tiny"
    feature_views = (VIEW,)
    events_version = "1"
    read = 0

    def __init__(self, config: Config) -> None:
        pass

    def events(self) -> Mapping[str, pd.DataFrame]:
        TinyRecipe.read += 1
        instants = T0 + np.arange(-100, 400)
        return {"events": pd.DataFrame({"key": "a", "instant": instants, "x": np.arange(500.0)})}


TINY = f"{__name__}:TinyRecipe"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "bytelm"], "--recipe bytelm: this recipe has no feature views"),
        (["--recipe", "absent"], "recipe = 'absent': accepted are"),
        (["--recipe", TINY, "--view", "two"], "--view two: accepted are one"),
        (["--recipe", TINY, "--serve"], "--serve replays from an instant: give it by --until"),
        (["--recipe", TINY, "--speed", "3"], "--to and --speed are of a replay: give --serve"),
        (["--recipe", TINY, "--until", "soon"], "--until soon: accepted is an instant"),
        (["--recipe", TINY, "--until", "2013-10-01", "--serve", "--speed", "0"], r"--speed 0\.0: accepted"),
    ],
)
def test_wrong_option_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["materialize", *arguments]) == 2
    assert capsys.readouterr().err.startswith(message.replace("\\", ""))


def request(**options: Any) -> Request:
    return checked(TINY, until="2013-10-01", **options)


@pytest.fixture
def settings(valkey: RedisSettings, tmp_path: Path) -> Settings:
    features = FeaturesSettings(storage=str(tmp_path), read_timeout_s=1, write_timeout_s=5, clock_lease_s=60)
    return Settings(redis=valkey, features=features)


async def ran(settings: Settings, stop: threading.Event | None = None, **options: Any) -> dict[str, Any]:
    result = await fill(request(**options), settings, stop or threading.Event(), Progress(console()))
    return dict(json.loads(json.dumps(result)))


async def newest(redis: Redis) -> tuple[float, int]:
    """The value held, and the store's time, seconds after T0."""
    store = OnlineStore(redis, timeout_s=5)
    (answer,) = await store.read([ViewRequest(VIEW.declaration, [("a",)])])
    row = answer.rows[0].row
    assert row is not None
    return float(row.values[0] or 0), answer.read_at // 1_000_000 - T0


async def test_stopped_replay_goes_on_where_it_stopped(
    redis: Redis, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    TinyRecipe.read = 0
    first = await ran(settings)
    assert first.pop("events").startswith(settings.features.storage)
    assert first == {
        "views": {"one": {"written": 1, "skipped": 0, "expired": 0}},
        "parts": 1,
        "parts_before": 0,
        "instant": "2013-10-01T00:00:00+00:00",
    }
    assert await newest(redis) == (100, 0)
    assert (await ran(settings))["parts_before"] == 1

    stop = threading.Event()
    serving = asyncio.create_task(ran(settings, stop, serve=True, speed=40))
    async with asyncio.timeout(20):
        while (await newest(redis))[0] < 105:
            await asyncio.sleep(0.02)
    stop.set()
    stopped = await serving
    value, clock = await newest(redis)
    at = int(pd.Timestamp(stopped["instant"]).timestamp()) - T0
    assert 105 <= value < 499
    assert value == 100 + at
    assert clock == at, "a clock that is not fed stands still"

    whole = await ran(settings, serve=True, speed=1000, to="2013-10-01T00:05:00")
    assert whole["instant"] == "2013-10-01T00:05:00+00:00"
    assert await newest(redis) == (400, 300)
    again = await ran(settings)  # an earlier instant goes on from where the replay came to
    assert again["instant"] == "2013-10-01T00:05:00+00:00"
    assert "a replay has come to 2013-10-01T00:05:00+00:00 and goes on there" in capsys.readouterr().out
    afresh = await ran(settings, fresh=True)
    assert afresh["instant"] == "2013-10-01T00:00:00+00:00"
    assert await newest(redis) == (100, 0)
    assert TinyRecipe.read == 1


async def test_stop_before_all_rows_are_written_is_an_error(redis: Redis, settings: Settings) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError, match="stopped with 0 of 1 parts done; without --fresh"):
        await ran(settings, stop)
    assert (await ran(settings))["parts_before"] == 0
