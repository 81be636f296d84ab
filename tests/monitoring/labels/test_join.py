"""The join over a real Valkey: orders of arrival, duplicates, lost processes and replies, a server that restarts."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostError

from app.events import LABELS, PREDICTIONS, EventLogError, Label, Prediction, RedisEventLog, connect_sink
from app.events.redis_consumer import RedisConsumer
from app.monitoring.labels import JoinStats, LabelJoin, release_join
from app.monitoring.labels.index import LabelIndex
from app.monitoring.labels.judged_prediction import JudgedPrediction
from app.redis_client import connect
from app.routing.release_context import OutputLoss, ReleaseContext
from app.settings import LabelSettings, RedisSettings, Settings
from tests.events.support import label, prediction
from tests.support.eventually import eventually

START_US = 1_760_000_000_000_000
"""The instant of ``prediction(0)``."""
S = 1_000_000
TRIAL = ReleaseContext("r1", champion="7", challenger="8", quality=OutputLoss("late", "brier", 0.5))

Loss = tuple[str, int, str, str, float]
CHAMPION = ("r1", START_US // S, "quality/0.1", "champion", 0.5625)
CHALLENGER = ("r1", START_US // S, "quality/0.1", "challenger", 0.5625)


def challenged(number: int) -> Prediction:
    """Answered by the challenger."""
    return prediction(number, version="8", weight=0.1)


class LabelWorld:
    """Streams, a clock that stands still until it is moved, and what the joins have handed on."""

    def __init__(self, valkey: RedisSettings, redis: Redis) -> None:
        self.valkey, self.redis = valkey, redis
        self.now_us = START_US
        self.losses: list[Loss] = []
        self._joins: list[LabelJoin] = []
        self._predictions = RedisEventLog(redis, PREDICTIONS, 100_000, 2.0)
        self._labels = RedisEventLog(redis, LABELS, 100_000, 2.0)

    def join(self, **settings: Any) -> LabelJoin:
        """Another process' join, begun."""
        labels = LabelSettings.model_validate({"claim_after_s": 0.05} | settings)
        known = Settings(redis=self.valkey, labels=labels)
        found = LabelJoin(
            connect_sink(known),
            connect(self.valkey),
            known,
            lambda *loss: self.losses.append(loss),
            lambda: self.now_us,
        )
        found.start()
        self._joins.append(found)
        return found

    async def following(self, **settings: Any) -> LabelJoin:
        """The same, once it reads the streams."""
        join = self.join(**settings)
        join.join_release("flights", TRIAL)
        await eventually_true(lambda: self.has_group("r1"))
        return join

    async def has_group(self, release: str) -> bool:
        if not await self.redis.exists(LABELS.stream("flights")):
            return False
        groups = await self.redis.xinfo_groups(LABELS.stream("flights"))
        return f"join:{release}".encode() in [group["name"] for group in groups]

    async def predict(self, *records: Prediction) -> None:
        assert await self._predictions.publish(records) == 0

    async def say(self, *records: Label) -> None:
        assert await self._labels.publish(records) == 0

    async def close(self) -> None:
        for join in self._joins:
            await join.stop()


@pytest.fixture
async def world(valkey: RedisSettings, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LabelWorld]:
    monkeypatch.setattr(release_join, "WAIT_S", 0.02)
    monkeypatch.setattr(release_join, "SWEEP_S", 0.05)
    found = LabelWorld(valkey, redis)
    yield found
    await found.close()


async def eventually_true(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.01)


async def counted(join: LabelJoin, **counts: int) -> None:
    """Until the counters that are named stand so, and all others at 0; or say how they stand."""
    try:
        await eventually(lambda: join.stats() == JoinStats(**counts), 10)
    except TimeoutError:
        assert join.stats() == JoinStats(**counts)


async def test_a_label_joins_its_prediction_once_and_each_arm_gets_its_own(world: LabelWorld) -> None:
    join = await world.following()
    await world.predict(prediction(0), challenged(1), prediction(2, weight=0.75), prediction(3))
    await counted(join, indexed=4)
    world.now_us += 3600 * S
    await world.say(label(0), label(1, label=0.0), label(2))
    await counted(join, indexed=4, joined=3)
    tick = START_US // S + 3600
    assert world.losses == [
        ("r1", tick, "quality/0.1", "champion", 0.5625),
        ("r1", tick, "quality/0.1", "challenger", 0.0625),
        ("r1", tick, "quality/0.25", "champion", 0.5625),
    ]


async def test_a_label_before_its_prediction_waits_for_it(world: LabelWorld) -> None:
    join = await world.following()
    await world.say(label(0))
    await counted(join, early=1)
    await world.predict(prediction(0))
    await counted(join, early=1, indexed=1, joined=1)
    assert world.losses == [CHAMPION]


async def test_the_first_label_counts_and_every_later_one_is_a_duplicate(world: LabelWorld) -> None:
    join = await world.following()
    first, other = label(0), label(0, label=0.0)
    await world.predict(prediction(0))
    await world.say(first, first, other)
    await counted(join, indexed=1, joined=1, duplicates=2)
    await world.say(label(1), label(1, label=0.0))
    await counted(join, indexed=1, joined=1, duplicates=3, early=1)
    assert world.losses == [CHAMPION]


async def test_a_prediction_that_is_published_twice_is_one(world: LabelWorld) -> None:
    join = await world.following()
    record = prediction(0)
    await world.predict(record, record, prediction(1, request_id="r-0", version="8", weight=0.1))
    await world.say(label(0))
    await counted(join, indexed=1, repeated=1, reused=1, joined=1)
    await world.predict(record)
    await counted(join, indexed=1, repeated=2, reused=1, joined=1)
    assert world.losses == [CHAMPION]


async def test_a_label_by_entity_finds_the_nearest_prediction(world: LabelWorld) -> None:
    join = await world.following(tolerance_s=10)
    await world.predict(
        prediction(0, version="8", weight=0.1),  # 1 s before the time in the label
        prediction(3 * S),  # 2 s behind it
        prediction(1 * S, sticky="1" * 16),
        prediction(30 * S, version="8", weight=0.1),
    )
    await counted(join, indexed=4)
    by_entity: dict[str, Any] = {"request_id": None, "sticky": "00f067aa0ba902b7"}
    await world.say(label(0, predicted_at=START_US + 1 * S, **by_entity))
    await counted(join, indexed=4, joined=1)
    await world.say(label(0, predicted_at=START_US + 2 * S, **by_entity))
    await counted(join, indexed=4, joined=2)
    assert [loss[3] for loss in world.losses] == ["challenger", "champion"]
    await world.say(label(0, predicted_at=START_US + 41 * S, **by_entity), label(3 * S))
    await counted(join, indexed=4, joined=2, early=1, duplicates=1)


async def test_a_label_by_entity_before_its_prediction_waits_for_it(world: LabelWorld) -> None:
    join = await world.following(tolerance_s=10)
    by_entity: dict[str, Any] = {"request_id": None, "sticky": "00f067aa0ba902b7"}
    near, far, old = (START_US + offset for offset in (5 * S, 60 * S, -60 * S))
    await world.say(*(label(0, predicted_at=at, **by_entity) for at in (far, near, old)))
    await counted(join, early=2, before=1)
    await world.predict(prediction(0, sticky="1" * 16), prediction(1))
    await counted(join, early=2, before=1, indexed=2, joined=1)
    await world.say(label(1))
    await counted(join, early=2, before=1, indexed=2, joined=1, duplicates=1)


async def test_labels_whose_prediction_never_comes_are_counted(world: LabelWorld) -> None:
    join = await world.following(wait_s=300, max_waiting=2)
    by_entity = label(1, request_id=None, sticky="00f067aa0ba902b7", predicted_at=START_US)
    await world.say(label(0), by_entity, label(2))
    await counted(join, early=3, unmatched=1)  # no room for the oldest
    world.now_us += 301 * S
    await counted(join, early=3, unmatched=3)
    await world.predict(prediction(0), prediction(2, sticky="1" * 16))
    await counted(join, early=3, unmatched=3, indexed=2)
    assert await world.redis.keys("*:early") == await world.redis.keys("*:waiting") == []
    assert world.losses == []


async def test_a_late_label_counts_as_late_and_its_prediction_goes(world: LabelWorld) -> None:
    join = await world.following(ttl_s=100, wait_s=10)
    await world.predict(prediction(0))
    await counted(join, indexed=1)
    world.now_us += 101 * S
    by_entity = label(1, request_id=None, sticky="1" * 16, predicted_at=START_US)
    await world.say(label(0), by_entity)
    await counted(join, indexed=1, late=2)
    world.now_us += 25 * S
    await counted(join, indexed=1, late=2, expired=1)
    assert await world.redis.keys("tidegate:join:*") == [b"tidegate:join:{flights}:r1:started"]
    assert world.losses == []


async def test_predictions_that_no_label_judges_are_counted_and_so_are_their_labels(world: LabelWorld) -> None:
    join = await world.following()
    await world.predict(
        prediction(0, version="9"),
        prediction(1, cached=True),
        prediction(2, status=500, outputs={}),
        prediction(3, rows=2),
        prediction(4, outputs={}),
        prediction(-1),
    )
    await world.say(*(label(number) for number in range(5)))
    whys = {"other_version": 1, "cached": 1, "failed": 1, "several_rows": 1, "without_value": 1}
    await counted(join, **whys, before=1, unjudged=5)
    assert world.losses == []


async def test_without_room_predictions_are_left_out_until_others_have_their_labels(world: LabelWorld) -> None:
    join = await world.following(max_predictions=4, ttl_s=100)
    await world.predict(*(prediction(number) for number in range(6)))
    await counted(join, indexed=4, full=2)
    await world.say(label(2))
    await counted(join, indexed=4, full=2, joined=1)
    await world.predict(prediction(6))  # in the place of 2
    await counted(join, indexed=5, full=2, joined=1)
    await world.predict(prediction(7))
    await counted(join, indexed=5, full=3, joined=1)
    assert await world.redis.hlen("tidegate:join:{flights}:r1:rows") == 4
    world.now_us += 101 * S  # too old to be judged, though not yet let go
    await world.predict(prediction(8))
    await counted(join, indexed=6, full=3, joined=1)


async def test_a_mirrored_answer_has_its_own_loss_by_the_same_label_whichever_comes_first(world: LabelWorld) -> None:
    index = LabelIndex(world.redis, LabelSettings(), "flights", "r1", "c", 2.0)
    answers = {False: JudgedPrediction("champion", 0.25, 0.1), True: JudgedPrediction("challenger", 0.5, 0.1)}

    async def arms(*what: bool | None) -> list[Any]:
        await world.redis.flushdb()
        found: list[Any] = []
        for position, mirrored in enumerate(what):
            if mirrored is None:
                call = index.label(f"{position}-0", label(0), START_US)
            else:
                record = prediction(0, version="8" if mirrored else "7")
                call = index.prediction(f"{position}-0", record, answers[mirrored], "indexed", START_US, mirrored)
            [outcome] = await index.take_in([call])
            assert outcome is not None
            assert not isinstance(outcome, Exception)
            found += [answer.arm for answer in outcome.answers if answer is not None]
        return found

    assert await arms(False, True, None) == ["champion", "challenger"]
    assert await arms(False, None, True) == ["champion", "challenger"]
    assert await arms(None, False, True) == ["champion", "challenger"]
    assert await arms(None, True, False) == ["challenger", "champion"]
    assert await arms(True, None, False) == ["challenger", "champion"]
    assert await arms(None, False, True, None, False, True) == ["champion", "challenger"]


async def test_records_read_by_a_lost_process_are_taken_over_and_joined_once(world: LabelWorld) -> None:
    first = await world.following()
    await world.predict(prediction(0), prediction(1))
    await counted(first, indexed=2)
    await first.stop()
    await world.say(label(0))
    await world.predict(prediction(2))
    streams = {PREDICTIONS.stream("flights"): ">", LABELS.stream("flights"): ">"}
    taken: Any = await world.redis.xreadgroup("join:r1", "lost", streams, count=10)  # type: ignore[arg-type]
    assert len(taken) == 2
    await world.say(label(1), label(2))
    second = await world.following()
    await eventually(lambda: second.stats().joined == 3)
    assert sorted(loss[3] for loss in world.losses) == ["champion"] * 3
    assert second.stats().indexed == 1
    for stream in streams:
        assert (await world.redis.xpending(stream, "join:r1"))["pending"] == 0


async def test_a_process_lost_between_the_join_and_its_answer_makes_no_second_loss(
    world: LabelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await world.following()
    await world.predict(prediction(0))
    await counted(first, indexed=1)
    take_in = LabelIndex.take_in
    asked = asyncio.Event()

    async def lost(self: LabelIndex, calls: Any) -> Any:
        await take_in(self, calls)
        asked.set()
        raise LostError("the reply was lost")

    monkeypatch.setattr(LabelIndex, "take_in", lost)
    monkeypatch.setattr(release_join, "FIRST_PAUSE_S", 5.0)
    await world.say(label(0))
    await asyncio.wait_for(asked.wait(), 10)
    await first.stop()  # as good as killed: it has not heard of the join, and asks no more
    monkeypatch.undo()
    second = await world.following()
    await world.say(label(0), label(1))
    await counted(second, duplicates=2, early=1)  # the first label, which the lost process had not acknowledged, too
    assert world.losses == []


async def test_a_lost_reply_is_asked_for_again_and_the_loss_handed_on_once(
    world: LabelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = LabelIndex.take_in
    lost: list[Any] = []

    async def unlucky(self: LabelIndex, calls: Any) -> Any:
        answers = await take_in(self, calls)
        if len(lost) % 2 == 0:  # every other reply
            lost.append(answers)
            raise LostError("the reply was lost")
        lost.append(answers)
        return answers

    monkeypatch.setattr(LabelIndex, "take_in", unlucky)
    monkeypatch.setattr(release_join, "FIRST_PAUSE_S", 0.01)
    join = await world.following()
    await world.predict(prediction(0), prediction(1, version="8", weight=0.1))
    await world.say(label(0), label(1), label(2))
    await eventually(lambda: join.stats().joined == 2)
    await world.predict(prediction(2))  # its label waits
    await eventually(lambda: join.stats().joined == 3)
    await world.say(label(0))
    await eventually(lambda: join.stats().duplicates == 1)
    assert world.losses == [CHAMPION, CHALLENGER, CHAMPION]
    assert join.stats().failures >= 2


async def test_failed_acknowledgement_is_repeated_and_delivers_no_loss_twice(
    world: LabelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledge = RedisConsumer.acknowledge
    failed: list[Any] = []

    async def unlucky(self: RedisConsumer, predictions: Sequence[str], labels: Sequence[str]) -> None:
        if len(failed) < 4:
            failed.append((predictions, labels))
            raise EventLogError("no answer")
        await acknowledge(self, predictions, labels)

    monkeypatch.setattr(RedisConsumer, "acknowledge", unlucky)
    monkeypatch.setattr(release_join, "FIRST_PAUSE_S", 0.03)  # so that entries can be claimed meanwhile
    join = await world.following(claim_after_s=0.01)
    await world.predict(prediction(0))
    await world.say(label(0))
    await eventually_true(lambda: all_acknowledged(world))
    assert len(failed) == 4
    await eventually(lambda: join.stats().joined == 1)
    assert replace(join.stats(), failures=0) == JoinStats(indexed=1, joined=1)
    assert world.losses == [CHAMPION]


async def all_acknowledged(world: LabelWorld) -> bool:
    """True once both records were read and acknowledged."""
    for stream in (PREDICTIONS.stream("flights"), LABELS.stream("flights")):
        [group] = await world.redis.xinfo_groups(stream)
        if not group["entries-read"] or group["pending"]:
            return False
    return True


async def test_two_processes_share_the_streams_without_a_loss_too_many(world: LabelWorld) -> None:
    joins = [await world.following(), await world.following()]
    await world.predict(*(prediction(number) for number in range(300)))
    for start in range(0, 300, 50):
        await world.say(*(label(number) for number in range(start, start + 50)))
    await eventually(lambda: sum(join.stats().joined for join in joins) == 300)
    assert world.losses == [CHAMPION] * 300


async def test_join_continues_after_the_server_was_killed(world: LabelWorld, valkey_pid: Callable[[], int]) -> None:
    join = await world.following()
    await world.predict(prediction(0), prediction(1))
    await world.say(label(0))
    await counted(join, indexed=2, joined=1)
    pid = valkey_pid()
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: join.stats().failures > 0)
    await eventually_true(lambda: answers(world.redis))
    await world.say(label(0), label(1))
    await eventually(lambda: join.stats().joined == 2)
    stats = join.stats()
    assert replace(stats, failures=0) == JoinStats(indexed=2, joined=2, duplicates=1)
    assert world.losses == [CHAMPION] * 2


async def answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (LostError, OSError):
        return False


async def test_a_server_that_lost_all_begins_anew(world: LabelWorld) -> None:
    join = await world.following()
    await world.predict(prediction(0))
    await counted(join, indexed=1)
    await world.redis.flushdb()
    await eventually_true(lambda: world.has_group("r1"))
    await world.predict(prediction(1))
    await world.say(label(1), label(0))
    await eventually(lambda: join.stats().joined == 1)
    assert join.stats().failures > 0


async def test_a_full_server_is_asked_again_and_nothing_is_lost(world: LabelWorld) -> None:
    join = await world.following()
    await world.predict(prediction(0))
    await counted(join, indexed=1)
    await world.redis.config_set("maxmemory-policy", "noeviction")
    async with world.redis.pipeline(transaction=True) as pipe:  # full before anyone can read these
        pipe.xadd(LABELS.stream("flights"), {"r": label(0).encode()})
        pipe.xadd(PREDICTIONS.stream("flights"), {"r": prediction(1).encode()})
        pipe.config_set("maxmemory", "1")
        await pipe.execute()
    try:
        await eventually(lambda: join.stats().failures > 1)
        assert world.losses == []
    finally:
        await world.redis.config_set("maxmemory", "0")
    await world.say(label(1))
    await eventually(lambda: join.stats().joined == 2)
    assert world.losses == [CHAMPION] * 2


async def test_unreadable_and_refused_records_do_not_hold_up_the_others(world: LabelWorld) -> None:
    await world.redis.rpush("tidegate:join:{flights}:r1:rows", "not a hash")
    join = await world.following()
    await world.redis.xadd(PREDICTIONS.stream("flights"), {"r": b"\xff"})
    await world.redis.xadd(LABELS.stream("flights"), {"other": b"1"})
    await world.predict(prediction(0))
    await counted(join, unreadable=2, refused=1)
    await world.redis.delete("tidegate:join:{flights}:r1:rows")
    await world.predict(prediction(1))
    await world.say(label(1))
    await counted(join, unreadable=2, refused=1, indexed=1, joined=1)
    assert (await world.redis.xpending(PREDICTIONS.stream("flights"), "join:r1"))["pending"] == 0


async def test_the_end_of_a_release_leaves_nothing_and_the_next_one_has_its_own(world: LabelWorld) -> None:
    join = await world.following()
    await world.predict(prediction(0))
    await counted(join, indexed=1)
    join.join_release("flights", TRIAL)
    world.now_us = time.time_ns() // 1000  # what was published until now is of the release before
    join.join_release("flights", replace(TRIAL, release="r2"))
    await eventually_true(lambda: world.has_group("r2"))
    await eventually_true(lambda: gone(world, "r1"))
    await world.say(label(0))
    await counted(join, indexed=1, early=1)
    join.join_release("flights", None)
    await eventually_true(lambda: gone(world, "r2"))
    join.join_release("flights", replace(TRIAL, quality=None))
    assert world.losses == []


async def gone(world: LabelWorld, release: str) -> bool:
    return not await world.has_group(release) and not await world.redis.keys(f"tidegate:join:*:{release}:*")


async def test_groups_of_earlier_releases_are_taken_away_and_those_of_later_ones_stay(world: LabelWorld) -> None:
    for release in ("r0", "r2"):
        await world.redis.xgroup_create(LABELS.stream("flights"), f"join:{release}", mkstream=True)
    await world.redis.xgroup_create(LABELS.stream("flights"), "another")
    await world.following()
    await eventually_true(lambda: not_there(world))
    names = {group["name"] for group in await world.redis.xinfo_groups(LABELS.stream("flights"))}
    assert names == {b"another", b"join:r1", b"join:r2"}


async def not_there(world: LabelWorld) -> bool:
    return not await world.has_group("r0")


async def test_another_process_goes_on_where_one_stopped(world: LabelWorld) -> None:
    first = await world.following()
    await world.predict(prediction(0))
    await counted(first, indexed=1)
    await first.stop()
    world.now_us += 60 * S
    await world.say(label(0))
    await world.predict(prediction(30 * S))  # of the release's time, though no process was there
    second = await world.following()
    await counted(second, indexed=1, joined=1)
