"""Which requests leave together, and what each of them gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from app.gateway.inference.coalescer import Coalescer
from app.model_spec import FieldSpec, ModelSpec
from app.routing.attempts import (
    ModelRaisedError,
    VersionOverloadedError,
    VersionTimedOutError,
    VersionUnavailableError,
)
from app.serving.batch import Batch, BatchReply, ModelFailure

SPEC = ModelSpec("m", "1", (FieldSpec("x", "float64", (-1, -1)),), (FieldSpec("y", "float64", (-1,)),), columns=False)
WHOLE = ModelSpec("m", "1", (FieldSpec("x", "float64", (2, 2)),), (), columns=False)


class Version:
    """Sums rows when it is told to; keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Batch] = []
        self.open = asyncio.Event()
        self.lost: Exception | None = None

    async def send(self, batch: Batch) -> BatchReply:
        self.sent.append(batch)
        await self.open.wait()
        if self.lost is not None:
            raise self.lost
        x = batch.inputs["x"]
        if (x < 0).any():  # as the scorer does: each by itself
            parts = np.split(x, np.cumsum(batch.rows)[:-1])
            each = tuple(
                ModelFailure("ValueError", "x < 0") if (part < 0).any() else {"y": part.sum(axis=1)} for part in parts
            )
            return BatchReply(None, each, "r", 0.1)
        return BatchReply({"y": x.sum(axis=1)}, (), "r", 0.1)


@pytest.fixture
def version() -> Version:
    return Version()


def coalescer(version: Version, **changed: Any) -> Coalescer:
    settings: dict[str, Any] = {
        "caller": "g",
        "batch_rows": 8,
        "calls": lambda: 1,
        "max_waiting": 100,
        "timeout_s": 5.0,
        **changed,
    }
    return Coalescer(version.send, **settings)


def ask(
    way: Coalescer, *rows: float, width: int = 2, spec: ModelSpec = SPEC, parameters: Mapping[str, Any] | None = None
) -> asyncio.Task[Any]:
    """A request of so many rows, each filled with one value."""
    x = np.repeat(np.array(rows)[:, None], width, axis=1)
    return asyncio.create_task(way.infer(spec, {"x": x}, parameters or {}))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_request_does_not_wait_while_the_version_is_idle(version: Version) -> None:
    way = coalescer(version)
    asked = ask(way, 1.0)
    await turns()
    assert [batch.rows for batch in version.sent] == [(1,)]
    version.open.set()
    outputs, seconds = await asked
    assert (outputs["y"].tolist(), seconds) == ([2.0], 0.1)


async def test_those_that_wait_leave_together_and_each_gets_its_own(version: Version) -> None:
    way = coalescer(version)
    first = ask(way, 1.0)
    await turns()
    others = [ask(way, 2.0), ask(way, 3.0, 4.0), ask(way, 5.0)]
    await turns()
    assert len(version.sent) == 1
    assert way.ongoing == 4
    version.open.set()
    answers = [answer["y"].tolist() for answer, _ in await asyncio.gather(first, *others)]
    assert answers == [[2.0], [4.0], [6.0, 8.0], [10.0]]
    assert [batch.rows for batch in version.sent] == [(1,), (1, 2, 1)]
    assert version.sent[1].ongoing == 3
    assert way.ongoing == 0


async def test_rows_of_one_call_are_bounded_and_the_order_is_kept(version: Version) -> None:
    way = coalescer(version, batch_rows=4)
    asked = [ask(way, *range(count)) for count in (3, 2, 2, 1)]
    version.open.set()
    await asyncio.gather(*asked)
    assert [batch.rows for batch in version.sent] == [(3,), (2, 2), (1,)]


@pytest.mark.parametrize(
    ("requests", "sent"),
    [
        ([{"width": 2}, {"width": 3}, {"width": 2}], [(1, 1), (1,)]),
        ([{"parameters": {"a": 1}}, {"parameters": {"a": 2}}, {"parameters": {"a": 1}}, {}], [(1, 1), (1,), (1,)]),
        ([{"spec": WHOLE}, {"spec": WHOLE}], [(1,), (1,)]),  # no dimension along which to put them together
    ],
)
async def test_unlike_requests_never_mix(
    version: Version, requests: list[dict[str, Any]], sent: list[tuple[int, ...]]
) -> None:
    way = coalescer(version)
    asked = [ask(way, 1.0, **request) for request in requests]
    version.open.set()
    await asyncio.gather(*asked)
    assert [batch.rows for batch in version.sent] == sent
    for batch in version.sent:
        assert len(batch.inputs["x"]) == len(batch.rows)


async def test_requests_are_not_mixed_where_the_version_does_not_want_it(version: Version) -> None:
    way = coalescer(version, batch_rows=1)
    asked = [ask(way, 1.0), ask(way, 2.0)]
    version.open.set()
    await asyncio.gather(*asked)
    assert [batch.rows for batch in version.sent] == [(1,), (1,)]


async def test_one_bad_request_fails_alone(version: Version) -> None:
    way = coalescer(version)
    asked = [ask(way, 1.0), ask(way, -1.0), ask(way, 2.0)]
    version.open.set()
    good: Any
    other: Any
    good, bad, other = await asyncio.gather(*asked, return_exceptions=True)
    assert len(version.sent) == 1
    assert (good[0]["y"].tolist(), other[0]["y"].tolist()) == ([2.0], [4.0])
    assert isinstance(bad, ModelRaisedError)
    assert str(bad) == "the model raised ValueError: x < 0"


async def test_a_lost_call_is_one_failure_for_all_that_travelled_in_it(version: Version) -> None:
    way = coalescer(version)
    version.lost = VersionUnavailableError("gone")
    asked = [ask(way, 1.0), ask(way, 2.0)]
    version.open.set()
    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert failures[0] is failures[1] is version.lost


async def test_as_many_calls_as_the_version_has_use_for(version: Version) -> None:
    way = coalescer(version, calls=lambda: 2, batch_rows=1)
    asked = [ask(way, float(number)) for number in range(3)]
    await turns()
    assert len(version.sent) == 2
    version.open.set()
    await asyncio.gather(*asked)
    assert len(version.sent) == 3


async def test_too_many_are_refused_at_once(version: Version) -> None:
    way = coalescer(version, max_waiting=2)
    asked = [ask(way, 1.0), ask(way, 2.0)]
    await turns()
    with pytest.raises(VersionOverloadedError, match="2 requests wait for version 1 already"):
        await ask(way, 3.0)
    version.open.set()
    await asyncio.gather(*asked)
    await ask(way, 3.0)


async def test_a_request_given_up_is_not_sent(version: Version) -> None:
    way = coalescer(version)
    first = ask(way, 1.0)
    await turns()
    given_up, other = ask(way, 2.0), ask(way, 3.0)
    await turns()
    given_up.cancel()
    await turns()
    assert way.ongoing == 2
    version.open.set()
    await asyncio.gather(first, other)
    assert version.sent[1].inputs["x"].tolist() == [[3.0, 3.0]]


async def test_a_call_that_hangs_makes_room_again(version: Version) -> None:
    way = coalescer(version, timeout_s=0.05)
    first, waiting = ask(way, 1.0), ask(way, 1.0, width=3)
    with pytest.raises(VersionTimedOutError):
        await first
    version.open.set()
    await waiting
    await way.drain()
