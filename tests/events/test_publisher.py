"""The publisher over a log that lives in the test: bounds, counts, retries, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.events import EventLogError, Prediction, Publisher
from app.events import publisher as module
from app.settings import EventSettings
from tests.events.support import prediction
from tests.support.eventually import eventually


class Log:
    """Takes what it is given; while ``away`` it gives no answer, while ``open`` is not set it does not answer yet."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.away = False
        self.refuses = 0
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, records: Sequence[Prediction]) -> int:
        self.batches.append([record.request_id for record in records])
        await self.open.wait()
        if self.away:
            raise EventLogError("away")
        return self.refuses


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)


def started(log: Log, **settings: float) -> Publisher[Prediction]:
    publisher = Publisher(log, EventSettings.model_validate({"buffer": 100, "batch": 4, "flush_s": 0.01} | settings))
    publisher.start()
    return publisher


def names(*numbers: int) -> list[str]:
    return [f"r-{number}" for number in numbers]


async def test_records_go_in_order_and_in_batches() -> None:
    log = Log()
    publisher = started(log)
    for number in range(10):
        publisher.offer(prediction(number))
    await eventually(lambda: publisher.stats().published == 10)
    assert log.batches == [names(0, 1, 2, 3), names(4, 5, 6, 7), names(8, 9)]
    publisher.offer(prediction(10))  # one alone goes too, after the interval
    await eventually(lambda: publisher.stats().published == 11)
    await publisher.stop(1)


async def test_records_that_trickle_in_travel_together() -> None:
    log = Log()
    publisher = started(log, flush_s=0.2, batch=64)
    for number in range(20):
        publisher.offer(prediction(number))
        await asyncio.sleep(0.001)
    await eventually(lambda: publisher.stats().published == 20)
    assert len(log.batches) == 1
    await publisher.stop(1)


async def test_a_batch_without_an_answer_is_sent_again_with_the_same_records() -> None:
    log = Log()
    log.away = True
    publisher = started(log)
    for number in range(6):
        publisher.offer(prediction(number))
    await eventually(lambda: publisher.stats().failed_sends >= 2)
    assert publisher.stats().waiting == 6
    log.away = False
    await eventually(lambda: publisher.stats().published == 6)
    assert set(map(tuple, log.batches)) == {tuple(names(0, 1, 2, 3)), tuple(names(4, 5))}
    assert publisher.stats().dropped == 0
    await publisher.stop(1)


async def test_a_full_buffer_loses_the_oldest_and_counts_them() -> None:
    log = Log()
    log.away = True
    publisher = started(log, buffer=5)
    for number in range(4):
        publisher.offer(prediction(number))
    await eventually(lambda: publisher.stats().failed_sends >= 1)  # these four are on their way
    for number in range(4, 12):
        publisher.offer(prediction(number))
    assert (publisher.stats().dropped_full, publisher.stats().waiting) == (3, 9)
    assert publisher.room() == 0
    log.away = False
    await eventually(lambda: publisher.stats().published == 9)
    assert [batch for batch in log.batches if batch != names(0, 1, 2, 3)] == [names(7, 8, 9, 10), names(11)]
    stats = publisher.stats()
    assert stats.offered == stats.published + stats.dropped + stats.waiting == 12
    assert publisher.room() == 5
    await publisher.stop(1)
    assert publisher.room() == 0


async def test_refused_records_are_counted_and_not_sent_again() -> None:
    log = Log()
    log.refuses = 1
    publisher = started(log)
    for number in range(4):
        publisher.offer(prediction(number))
    await eventually(lambda: publisher.stats().published == 3)
    assert (publisher.stats().dropped_refused, len(log.batches)) == (1, 1)
    await publisher.stop(1)


async def test_a_stop_sends_what_is_held() -> None:
    log = Log()
    publisher = started(log, flush_s=60)
    for number in range(6):
        publisher.offer(prediction(number))
    await publisher.stop(5)
    assert publisher.stats().published == 6
    publisher.offer(prediction(6))
    assert (publisher.stats().dropped_stopped, publisher.stats().waiting) == (1, 0)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_stop_ends_at_its_deadline_and_counts_the_rest(hangs: bool) -> None:
    log = Log()
    log.away = True
    if hangs:
        log.open.clear()
    publisher = started(log)
    for number in range(6):
        publisher.offer(prediction(number))
    async with asyncio.timeout(5):
        await publisher.stop(0.1)
    assert (publisher.stats().dropped_stopped, publisher.stats().waiting) == (6, 0)


async def test_stop_ends_the_pause_between_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 30.0)
    log = Log()
    log.away = True
    publisher = started(log)
    publisher.offer(prediction(0))
    await eventually(lambda: publisher.stats().failed_sends == 1)
    log.away = False
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    await publisher.stop(5)
    assert publisher.stats().published == 1


async def test_a_stop_without_a_start_drops() -> None:
    publisher = Publisher(Log(), EventSettings())
    publisher.offer(prediction(0))
    await publisher.stop(1)
    assert publisher.stats().dropped_stopped == 1
