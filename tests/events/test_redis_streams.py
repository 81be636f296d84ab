"""The event log in a real Valkey: order, trimming, a server that goes and comes back, and the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.events import LABELS, PREDICTIONS, EventLogError, Prediction, Publisher, RedisEventLog
from app.events.redis_streams import START, event_redis
from app.redis_client import connect
from app.settings import EventSettings, RedisSettings, Settings, get_settings
from jobs.cli import main
from tests.events.support import label, prediction
from tests.support.eventually import eventually

SETTINGS = EventSettings(buffer=50, batch=8, flush_s=0.01)


@pytest.fixture
async def log(valkey: RedisSettings, redis: Redis) -> AsyncIterator[RedisEventLog[Prediction]]:
    client = connect(valkey)
    yield RedisEventLog(client, PREDICTIONS, 1000, valkey.timeout_s)
    await client.aclose()


async def requests(log: RedisEventLog[Prediction], model: str = "flights") -> list[str]:
    entries = await log.read(model, START, 10_000, 0)
    return [entry.record.request_id for entry in entries if entry.record is not None]


async def test_records_are_read_in_order_by_model_and_page(log: RedisEventLog[Prediction]) -> None:
    sent = [prediction(number, model) for number in range(5) for model in ("flights", "bytelm")]
    assert await log.publish(sent) == 0
    assert await log.models() == ["bytelm", "flights"]
    first = await log.read("flights", START, 3, 0)
    rest = await log.read("flights", first[-1].position, 3, 0)
    assert [entry.record for entry in first + rest] == sent[::2]
    assert rest[-1].position == await log.newest("flights")
    assert await log.read("flights", rest[-1].position, 3, 0) == []
    assert await log.read("nothing", START, 3, 0) == []
    assert await log.newest("nothing") == START


async def test_a_read_waits_for_a_record(log: RedisEventLog[Prediction], redis: Redis, valkey: RedisSettings) -> None:
    assert await log.read("flights", START, 1, 0.05) == []
    waiting = asyncio.create_task(log.read("flights", START, 1, 0.2))
    other = RedisEventLog(redis, PREDICTIONS, 1000, valkey.timeout_s)
    await other.publish([prediction(1)])
    assert len(await waiting) == 1


async def test_a_stream_is_trimmed_and_keeps_the_newest(redis: Redis, valkey: RedisSettings) -> None:
    log = RedisEventLog(redis, PREDICTIONS, 300, valkey.timeout_s)
    for start in range(0, 1000, 100):
        await log.publish([prediction(number) for number in range(start, start + 100)])
    kept = await requests(log)
    assert 300 <= len(kept) <= 400
    assert kept == [f"r-{number}" for number in range(1000 - len(kept), 1000)]


async def test_one_model_that_cannot_be_written_does_not_hold_up_the_others(
    log: RedisEventLog[Prediction], redis: Redis
) -> None:
    await redis.set(PREDICTIONS.stream("broken"), "no stream")
    bad = prediction(1, outputs={"x": object()})
    assert await log.publish([prediction(0), prediction(0, "broken"), bad, prediction(2)]) == 2
    assert await requests(log) == ["r-0", "r-2"]
    assert await log.publish([bad]) == 1


async def test_a_server_that_is_full_is_asked_again(log: RedisEventLog[Prediction], redis: Redis) -> None:
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(EventLogError, match=r"takes no records now: .*memory"):
            await log.publish([prediction(0)])
    finally:
        await redis.config_set("maxmemory", "0")
    assert await log.publish([prediction(0)]) == 0


async def test_bytes_that_are_no_record_are_shown_as_such(log: RedisEventLog[Prediction], redis: Redis) -> None:
    await redis.xadd(PREDICTIONS.stream("flights"), {"r": b"\xff"})
    await redis.xadd(PREDICTIONS.stream("flights"), {"other": b"1"})
    assert [entry.record for entry in await log.read("flights", START, 9, 0)] == [None, None]


async def test_drops_are_counted_while_the_server_is_away_and_the_newest_arrive_when_it_is_back(
    log: RedisEventLog[Prediction], valkey_pid: Callable[[], int]
) -> None:
    publisher = Publisher(log, SETTINGS)
    publisher.start()
    publisher.offer(prediction(0))
    await eventually(lambda: publisher.stats().published == 1)
    pid = valkey_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(1, 9):
            publisher.offer(prediction(number))
        await eventually(lambda: publisher.stats().failed_sends >= 1)
        for number in range(9, 109):
            publisher.offer(prediction(number))
        assert (publisher.stats().dropped_full, publisher.stats().waiting) == (50, 58)
    finally:
        os.kill(pid, signal.SIGKILL)  # ends a stopped process too; the supervisor starts another
    await eventually(lambda: publisher.stats().published == 59, 30)
    await publisher.stop(5)
    stats = publisher.stats()
    assert stats.offered == stats.published + stats.dropped == 109
    kept = await log.read("flights", START, 1000, 0)
    unique = {entry.record.event_id: entry.record.request_id for entry in kept if entry.record}
    assert [*unique.values()] == [f"r-{number}" for number in [*range(9), *range(59, 109)]]


async def test_labels_have_streams_of_their_own(
    log: RedisEventLog[Prediction], redis: Redis, valkey: RedisSettings
) -> None:
    labels = RedisEventLog(redis, LABELS, 1000, valkey.timeout_s)
    sent = [label(0), label(1, request_id=None, sticky="00f067aa0ba902b7", predicted_at=1_760_000_000_000_000)]
    assert await labels.publish(sent) == 0
    assert [entry.record for entry in await labels.read("flights", START, 9, 0)] == sent
    assert await labels.models() == ["flights"]
    assert await log.models() == []


async def test_a_lost_reply_makes_a_duplicate_with_the_same_id(log: RedisEventLog[Prediction]) -> None:
    record = prediction(0)
    for _ in range(2):  # what the publisher does when the first answer is lost
        await log.publish([record])
    found = await log.read("flights", START, 9, 0)
    assert [entry.record for entry in found] == [record, record]


async def test_a_read_from_a_server_that_is_away_is_an_error(
    log: RedisEventLog[Prediction], valkey_pid: Callable[[], int]
) -> None:
    os.kill(valkey_pid(), signal.SIGSTOP)
    try:
        with pytest.raises(EventLogError, match="gave no answer"):
            await log.read("flights", START, 1, 0)
    finally:
        os.kill(valkey_pid(), signal.SIGCONT)


def test_the_streams_may_have_a_redis_of_their_own() -> None:
    settings = Settings()
    assert event_redis(settings) == settings.redis
    own = settings.model_copy(update={"events": EventSettings(url="redis://events:6379/0")})
    assert event_redis(own).url == "redis://events:6379/0"
    assert event_redis(own).timeout_s == settings.redis.timeout_s
    elsewhere = settings.model_copy(update={"events": EventSettings(url="kafka://events:9092")})
    assert event_redis(elsewhere) == settings.redis  # the label join's index needs a Redis


@pytest.fixture
def beside(valkey: RedisSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a command beside the server."""
    assert valkey.password is not None
    monkeypatch.setenv("TIDEGATE_REDIS_URL", valkey.url)
    monkeypatch.setenv("TIDEGATE_REDIS_PASSWORD", valkey.password.get_secret_value())
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


async def tail(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["events", "tail", *arguments])


async def test_tail_shows_what_is_kept(
    beside: None, log: RedisEventLog[Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    await log.publish([prediction(number) for number in range(3)])
    assert await tail("flights", "--no-follow") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].split() == [
        "2025-10-09",
        "08:53:20.000",
        "7",
        "200",
        "1",
        "3.2",
        "1.2",
        "0123456789ab",
        "late=0.25",
    ]
    position = (await log.read("flights", START, 1, 0))[0].position
    assert await tail("flights", "--from", position, "--count", "1", "--json") == 0
    [line] = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert (shown["request_id"], shown["outputs"]) == ("r-1", {"late": {"shape": [1], "values": [0.25]}})


async def test_tail_shows_labels(
    beside: None, redis: Redis, valkey: RedisSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = RedisEventLog(redis, LABELS, 1000, valkey.timeout_s)
    by_entity = label(1, label=0.5, request_id=None, sticky="00f067aa0ba902b7", predicted_at=1_760_000_000_000_000)
    await labels.publish([label(0), by_entity])
    assert await tail("flights", "--labels", "--no-follow") == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown[1:] == [
        "2025-10-09 08:55:00.000 1 0123456789ab request r-0",
        "2025-10-09 08:55:00.000 0.5 0123456789ab entity 00f067aa0ba902b7 at 2025-10-09 08:53:20.000",
    ]
    assert await tail("flights", "--labels", "--count", "1", "--from", "start", "--json") == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == "r-0"
    assert await tail("fligths", "--labels") == 1
    assert capsys.readouterr().err == "there are no labels of model 'fligths'; there are of: flights\n"


async def test_tail_of_an_unknown_model_says_which_there_are(
    beside: None, log: RedisEventLog[Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    await log.publish([prediction(0)])
    assert await tail("fligths") == 1
    assert capsys.readouterr().err == "there are no events of model 'fligths'; there are of: flights\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["flights", "--from", "yesterday"], "'yesterday': accepted is now, start, or a position"),
        (["flights", "--count", "0"], "'0': accepted is a whole number from 1"),
        ([], "Missing argument 'MODEL'"),
    ],
)
def test_wrong_command_line_ends_with_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "tail", *arguments]) == 2
    assert sentence in capsys.readouterr().err


async def test_tail_follows_until_ctrl_c(beside: None, log: RedisEventLog[Prediction]) -> None:
    await log.publish([prediction(0)])
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jobs.cli", "events", "tail", "flights", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert b"version" in await command.stdout.readline()  # it follows from here on
            await log.publish([prediction(1, version="8")])
            assert b"    8  " in await command.stdout.readline()
            command.send_signal(signal.SIGINT)
            assert (*await command.communicate(), command.returncode) == (b"", b"", 0)
    finally:
        if command.returncode is None:
            command.kill()


async def test_a_model_is_known_again_after_the_server_lost_all(log: RedisEventLog[Prediction], redis: Redis) -> None:
    await log.publish([prediction(0)])
    await redis.flushdb()
    with pytest.raises(RedisError):
        await redis.xinfo_stream(PREDICTIONS.stream("flights"))
    await log.publish([prediction(1)])
    assert await log.models() == ["flights"]
