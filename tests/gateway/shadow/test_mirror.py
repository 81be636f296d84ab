"""Samples and mirrored requests of a release, and that callers never feel them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from app.errors import InvalidArgumentError, ModelError
from app.events import Prediction
from app.gateway.inference.call import InferReply
from app.gateway.telemetry.prediction_log import PredictionLog
from app.model_spec import FieldSpec
from app.monitoring.sums import Sums
from app.routing.release_context import OutputMatch, OutputRange, ReleaseContext
from tests.gateway.shadow.support import MODEL, SPEC, WITH_FEATURE, Replica, Version
from tests.support.eventually import eventually

SHADOW = ReleaseContext(
    "r", "1", "2", mirror=1.0, slow_over_s=0.5, drift=OutputRange("y", 0, 10), agreement=OutputMatch("y", 0.0)
)
CANARY = replace(SHADOW, mirror=0.0)

Make = Callable[..., Replica]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes replicas, and ends them."""
    made: list[Replica] = []

    def one(*args: Any, **settings: Any) -> Replica:
        made.append(Replica(*args, **settings))
        return made[-1]

    yield one
    for replica in made:
        await replica.stop()


async def test_a_request_counts_for_the_version_that_was_picked(make: Make) -> None:
    champion, challenger = Version(), Version()
    replica = make(CANARY, champion, challenger, 0.5)
    replies = [await replica.infer(key=str(number)) for number in range(40)]
    picked = [reply.version for reply in replies if isinstance(reply, InferReply)].count("2")
    assert 5 < picked < 35
    await eventually(lambda: replica.losses.added == 40)
    challenger.raises = True
    for number in range(40):
        reply = await replica.infer(key=str(number))
        assert isinstance(reply, InferReply)  # the champion answers, and the challenger is charged with it
        assert reply.version == "1"
        await replica.infer(pinned="2")
    await eventually(lambda: replica.losses.added == 80)
    errors = replica.sums()["errors"]
    assert errors == {"champion": Sums(2 * (40 - picked)), "challenger": Sums(2 * picked, picked, picked)}
    assert replica.sums()["latency"]["challenger"].n == picked


async def test_without_a_release_nothing_is_noted(make: Make) -> None:
    replica = make(SHADOW, Version(), challenger := Version())
    replica.tables[MODEL] = structs.replace(replica.tables[MODEL], release_context=None)
    await replica.infer()
    await replica.mirror.stop()  # and with it whatever was under way
    assert (replica.losses.added, challenger.asked) == (0, [])


async def test_champion_and_challenger_get_the_same_inputs_and_are_compared_as_a_pair(make: Make) -> None:
    champion, challenger = Version(seconds=0.1), Version(factor=2.0, seconds=0.9)
    replica = make(SHADOW, champion, challenger)
    reply = await replica.infer(2.5)
    assert isinstance(reply, InferReply)
    assert (reply.version, reply.outputs["y"].tolist()) == ("1", [2.5])
    assert challenger.asked == []  # the reply comes first
    await eventually(lambda: replica.mirror.stats.compared == 1)
    assert challenger.asked == champion.asked == [{"x": np.array([2.5])}]
    assert replica.sums() == {
        "errors/pairs": {"challenger": Sums(1), "champion": Sums(1)},
        "latency/pairs": {"challenger": Sums(1, 1, 1), "champion": Sums(1)},
        "drift/pairs": {"challenger": Sums(1, 0.25, 0.0625), "champion": Sums(1)},
        "agreement": {"challenger": Sums(1, 1, 1), "champion": Sums(1)},
    }
    (seen,) = replica.mirrored
    assert (seen.version, seen.status, seen.rows, seen.version_s, seen.failed) == ("2", 200, 1, 0.9, [])


async def test_unmirrored_requests_count_by_themselves(make: Make) -> None:
    replica = make(replace(SHADOW, mirror=0.25), Version(), Version())
    replica.draws = iter(number / 100 for number in range(100))
    for _ in range(100):
        await replica.infer(key="one and the same")
    await eventually(lambda: replica.losses.added == 100)
    sums = replica.sums()
    assert (sums["errors/pairs"]["champion"].n, sums["errors"]["champion"].n) == (25, 75)
    assert (sums["drift/pairs"]["champion"].n, sums["drift"]["champion"].n) == (25, 75)


async def test_neither_pinned_requests_nor_mistakes_are_mirrored(make: Make) -> None:
    replica = make(SHADOW, Version(), challenger := Version())
    await replica.infer(pinned="1")
    assert isinstance(await replica.infer(inputs={"y": np.zeros(1)}), InvalidArgumentError)
    await replica.infer()
    await eventually(lambda: replica.mirror.stats.compared == 1)
    assert (replica.losses.added, len(challenger.asked)) == (1, 1)


async def test_a_challenger_that_raises_fails_the_pair_and_not_the_reply(make: Make) -> None:
    champion, challenger = Version(), Version()
    challenger.raises = True
    replica = make(SHADOW, champion, challenger)
    for _ in range(20):  # more than its breaker would let through
        reply = await replica.infer()
        assert isinstance(reply, InferReply)
        assert (reply.version, reply.failed) == ("1", ())
    await eventually(lambda: replica.mirror.stats.compared == 20)
    assert replica.sums() == {"errors/pairs": {"challenger": Sums(20, 20, 20), "champion": Sums(20)}}
    seen = replica.mirrored[0]
    assert (seen.version, seen.status, seen.failed, seen.weight) == (None, 500, ["2"], 0.0)
    assert (len(champion.asked), len(challenger.asked)) == (20, 20)  # asked once each


async def test_a_request_that_the_champion_failed_is_mirrored_too(make: Make) -> None:
    champion = Version()
    champion.raises = True
    replica = make(SHADOW, champion, Version())
    assert isinstance(await replica.infer(), ModelError)
    await eventually(lambda: replica.mirror.stats.compared == 1)
    assert replica.sums() == {"errors/pairs": {"challenger": Sums(1), "champion": Sums(1, 1, 1)}}


async def test_a_challenger_that_refuses_what_the_champion_answers_has_failed(make: Make) -> None:
    pickier = replace(SPEC, inputs=(*SPEC.inputs, FieldSpec("z", "float64")))
    replica = make(SHADOW, Version(), challenger := Version(pickier))
    await replica.infer()
    await eventually(lambda: replica.mirror.stats.compared == 1)
    assert replica.sums()["errors/pairs"]["challenger"] == Sums(1, 1, 1)
    assert (replica.mirrored[0].status, challenger.asked) == (400, [])


@pytest.mark.parametrize(("spec", "looked_up", "seen"), [(WITH_FEATURE, 1, 1.0), (None, 2, 2.0)])
async def test_features_are_the_champions_unless_the_challenger_takes_others(
    make: Make, spec: Any, looked_up: int, seen: float
) -> None:
    other = spec or replace(WITH_FEATURE, feature_views=({"name": "seen", "ttl": 9},))
    replica = make(SHADOW, Version(WITH_FEATURE), challenger := Version(other))
    await replica.infer()
    await eventually(lambda: replica.mirror.stats.compared == 1)
    assert replica.features.asked == looked_up
    assert challenger.asked[0]["seen"].tolist() == [seen]
    assert replica.mirrored[0].features is not None


async def test_a_challenger_that_hangs_delays_no_reply(make: Make) -> None:
    champion, challenger = Version(), Version()
    challenger.answers.clear()
    settings = {"routing": {"attempt_timeout_s": 0.5}, "mirror": {"concurrency": 2, "queue": 3}}
    replica = make(replace(SHADOW, drift=None), champion, challenger, **settings)
    started = time.monotonic()
    for _ in range(50):
        reply = await replica.infer()
        assert isinstance(reply, InferReply)
        assert (reply.version, reply.failed) == ("1", ())
    assert time.monotonic() - started < 5  # whoever waited for a mirrored request would take 25 s
    stats = replica.mirror.stats
    await eventually(lambda: stats.compared + stats.dropped_late + stats.dropped_full == 50)
    assert stats.dropped_full >= 30
    assert len(challenger.asked) == stats.compared >= 2
    assert {seen.status for seen in replica.mirrored} == {504}
    assert replica.sums() == {
        "errors": {"champion": Sums(stats.dropped_full)},  # what found no room counts by itself
        "latency": {"champion": Sums(stats.dropped_full)},
        "errors/pairs": {
            "challenger": Sums(stats.compared, stats.compared, stats.compared),
            "champion": Sums(stats.compared),
        },
    }


async def test_a_request_that_waited_too_long_is_not_mirrored(make: Make) -> None:
    challenger = Version()
    challenger.answers.clear()
    settings = {"routing": {"attempt_timeout_s": 0.2}, "mirror": {"concurrency": 1}}
    replica = make(SHADOW, Version(), challenger, **settings)
    for _ in range(20):
        await replica.infer()
    stats = replica.mirror.stats
    await eventually(lambda: stats.compared + stats.dropped_late == 20)
    assert stats.dropped_late >= 15


async def test_the_bytes_that_wait_are_bounded(make: Make) -> None:
    challenger = Version()
    challenger.answers.clear()
    replica = make(SHADOW, Version(), challenger, mirror={"concurrency": 1, "queued_bytes": 40})
    for _ in range(5):
        await replica.infer()
    await eventually(lambda: len(challenger.asked) == 1 and replica.losses.added == 2)
    assert replica.mirror.stats.dropped_full == 2  # of 16 bytes each, two wait and one is under way
    challenger.answers.set()
    await eventually(lambda: replica.mirror.stats.compared == 3)
    await replica.infer()
    await eventually(lambda: replica.mirror.stats.compared == 4)


async def test_requests_left_at_the_end_of_release_or_replica_are_counted(make: Make) -> None:
    challenger = Version()
    challenger.answers.clear()
    replica = make(SHADOW, Version(), challenger, mirror={"concurrency": 1})
    for _ in range(3):
        await replica.infer()
    await eventually(lambda: len(challenger.asked) == 1)
    table = replica.tables[MODEL]
    replica.tables[MODEL] = structs.replace(table, release_context=replace(SHADOW, release="another"))
    challenger.answers.set()
    stats = replica.mirror.stats
    await eventually(lambda: stats.compared + stats.dropped_over == 3)
    assert (stats.compared, stats.dropped_over) == (1, 2)
    challenger.answers.clear()
    for _ in range(3):
        await replica.infer()
    await eventually(lambda: len(challenger.asked) == 2)
    await replica.mirror.stop()
    assert stats.dropped_stopped == 3
    challenger.answers.set()


class Kept:
    """A publisher that keeps what it is offered."""

    def __init__(self) -> None:
        self.records: list[Prediction] = []

    def offer(self, record: Prediction) -> None:
        self.records.append(record)


async def test_the_event_of_a_mirrored_request_is_marked(make: Make) -> None:
    kept: Any = Kept()
    records = PredictionLog(kept, lambda: 7)
    replica = make(SHADOW, Version(), Version(factor=2.0))
    await replica.infer(3.0, key="ann")
    await eventually(lambda: len(replica.mirrored) == 1)
    records.offer(replica.mirrored[0], mirrored=True)
    (record,) = kept.records
    assert (record.version, record.status, record.mirrored, record.at) == ("2", 200, True, 7)
    assert record.outputs["y"].values == [6.0]
