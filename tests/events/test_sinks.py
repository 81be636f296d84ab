"""A sink of another kind: one entry in ``SINKS`` and every part that uses events uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from app.events import SINKS, Publisher, connect_sink, event_redis
from app.monitoring.labels import LabelJoin
from app.redis_client import connect
from app.routing import release_context
from app.settings import EventSettings, RedisSettings, Settings, SettingsError, get_settings
from jobs.cli import main
from tests.events.support import label, prediction
from tests.support import memory_sink
from tests.support.eventually import eventually

URL = "memory://test"


@pytest.fixture
def settings(valkey: RedisSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings whose events are in memory, in this process's environment too."""
    assert valkey.password is not None
    monkeypatch.setitem(SINKS, "memory", memory_sink.make)
    monkeypatch.setenv("TIDEGATE_EVENTS_URL", URL)
    monkeypatch.setenv("TIDEGATE_REDIS_URL", valkey.url)
    monkeypatch.setenv("TIDEGATE_REDIS_PASSWORD", valkey.password.get_secret_value())
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()
    memory_sink.SHARED.clear()


async def test_publisher_sends_to_a_registered_sink(settings: Settings) -> None:
    sink = connect_sink(settings)
    publisher = Publisher(sink.predictions, EventSettings(flush_s=0.001))
    publisher.start()
    publisher.offer(prediction(0))
    await eventually(lambda: publisher.stats().published == 1)
    await publisher.stop(1)
    assert await sink.predictions.models() == ["flights"]


async def test_tail_reads_a_registered_sink(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    await connect_sink(settings).predictions.publish([prediction(0), prediction(1)])
    assert await asyncio.to_thread(main, ["events", "tail", "flights", "--from", "@1", "--no-follow", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["position"], shown["request_id"]) == ("@2", "r-1")


def test_tail_refuses_what_is_no_position_of_the_sink(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "tail", "flights", "--from", "1760000000000-0"]) == 2
    assert "'1760000000000-0': accepted is now, start, or a position such as @7" in capsys.readouterr().err


async def test_label_join_consumes_a_registered_sink_and_acknowledges(settings: Settings, redis: Redis) -> None:
    sink = memory_sink.make(settings)
    losses: list[float] = []
    join = LabelJoin(
        connect_sink(settings),
        connect(event_redis(settings)),
        settings,
        lambda *loss: losses.append(loss[-1]),
        lambda: 1_760_000_000_000_000,
    )
    join.start()
    await sink.predictions.publish([prediction(0), prediction(1)])
    await sink.labels.publish([label(0)])
    sink.groups["flights", "join:r0"] = memory_sink.Group("@0", "@0")
    quality = release_context.OutputLoss("late", "brier", 0.5)
    join.join_release("flights", release_context.ReleaseContext("r1", champion="7", challenger="8", quality=quality))
    await eventually(lambda: losses == [0.5625])
    await eventually(lambda: not sink.groups["flights", "join:r1"].pending)
    assert sink.groups.keys() == {("flights", "join:r1")}  # that of an earlier release is gone
    join.join_release("flights", None)
    await eventually(lambda: not sink.groups)
    await join.stop()


def test_address_of_no_known_sink_is_refused_with_the_known_ones() -> None:
    settings = Settings(events=EventSettings(url="kafka://events:9092"))
    with pytest.raises(
        SettingsError, match=r"TIDEGATE_EVENTS_URL: .* 'kafka'; accepted are redis://, rediss://, unix"
    ):
        connect_sink(settings)
