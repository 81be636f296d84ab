"""Requests that leave together, and the outputs that each of them gets."""

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


def start_request(
    coalescer_: Coalescer,
    *rows: float,
    width: int = 2,
    spec: ModelSpec = SPEC,
    parameters: Mapping[str, Any] | None = None,
) -> asyncio.Task[Any]:
    """A request of so many rows, each filled with one value."""
    x = np.repeat(np.array(rows)[:, None], width, axis=1)
    return asyncio.create_task(coalescer_.infer(spec, {"x": x}, parameters or {}))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_request_does_not_wait_while_the_version_is_idle(version: Version) -> None:
    coalescer_ = coalescer(version)
    requests_under_way = start_request(coalescer_, 1.0)
    await turns()
    assert [batch.rows for batch in version.sent] == [(1,)]
    version.open.set()
    outputs, seconds = await requests_under_way
    assert (outputs["y"].tolist(), seconds) == ([2.0], 0.1)


async def test_waiting_requests_leave_in_one_call_and_each_gets_its_own_outputs(version: Version) -> None:
    coalescer_ = coalescer(version)
    first = start_request(coalescer_, 1.0)
    await turns()
    others = [start_request(coalescer_, 2.0), start_request(coalescer_, 3.0, 4.0), start_request(coalescer_, 5.0)]
    await turns()
    assert len(version.sent) == 1
    assert coalescer_.ongoing == 4
    version.open.set()
    answers = [answer["y"].tolist() for answer, _ in await asyncio.gather(first, *others)]
    assert answers == [[2.0], [4.0], [6.0, 8.0], [10.0]]
    assert [batch.rows for batch in version.sent] == [(1,), (1, 2, 1)]
    assert version.sent[1].ongoing == 3
    assert coalescer_.ongoing == 0


async def test_rows_of_one_call_are_bounded_and_the_order_is_kept(version: Version) -> None:
    coalescer_ = coalescer(version, batch_rows=4)
    requests_under_way = [start_request(coalescer_, *range(count)) for count in (3, 2, 2, 1)]
    version.open.set()
    await asyncio.gather(*requests_under_way)
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
    coalescer_ = coalescer(version)
    requests_under_way = [start_request(coalescer_, 1.0, **request) for request in requests]
    version.open.set()
    await asyncio.gather(*requests_under_way)
    assert [batch.rows for batch in version.sent] == sent
    for batch in version.sent:
        assert len(batch.inputs["x"]) == len(batch.rows)


async def test_requests_are_not_mixed_where_the_version_does_not_want_it(version: Version) -> None:
    coalescer_ = coalescer(version, batch_rows=1)
    requests_under_way = [start_request(coalescer_, 1.0), start_request(coalescer_, 2.0)]
    version.open.set()
    await asyncio.gather(*requests_under_way)
    assert [batch.rows for batch in version.sent] == [(1,), (1,)]


async def test_a_request_on_which_the_model_raises_fails_alone(version: Version) -> None:
    coalescer_ = coalescer(version)
    requests_under_way = [
        start_request(coalescer_, 1.0),
        start_request(coalescer_, -1.0),
        start_request(coalescer_, 2.0),
    ]
    version.open.set()
    good: Any
    other: Any
    good, bad, other = await asyncio.gather(*requests_under_way, return_exceptions=True)
    assert len(version.sent) == 1
    assert (good[0]["y"].tolist(), other[0]["y"].tolist()) == ([2.0], [4.0])
    assert isinstance(bad, ModelRaisedError)
    assert str(bad) == "the model raised ValueError: x < 0"


async def test_a_lost_call_fails_all_its_requests_with_one_error(version: Version) -> None:
    coalescer_ = coalescer(version)
    version.lost = VersionUnavailableError("gone")
    requests_under_way = [start_request(coalescer_, 1.0), start_request(coalescer_, 2.0)]
    version.open.set()
    failures = await asyncio.gather(*requests_under_way, return_exceptions=True)
    assert failures[0] is failures[1] is version.lost


async def test_calls_under_way_are_bounded_by_the_backend(version: Version) -> None:
    coalescer_ = coalescer(version, calls=lambda: 2, batch_rows=1)
    requests_under_way = [start_request(coalescer_, float(number)) for number in range(3)]
    await turns()
    assert len(version.sent) == 2
    version.open.set()
    await asyncio.gather(*requests_under_way)
    assert len(version.sent) == 3


async def test_requests_beyond_the_bound_are_refused_at_once(version: Version) -> None:
    coalescer_ = coalescer(version, max_waiting=2)
    requests_under_way = [start_request(coalescer_, 1.0), start_request(coalescer_, 2.0)]
    await turns()
    with pytest.raises(VersionOverloadedError, match="2 requests wait for version 1 already"):
        await start_request(coalescer_, 3.0)
    version.open.set()
    await asyncio.gather(*requests_under_way)
    await start_request(coalescer_, 3.0)


async def test_a_cancelled_request_is_not_sent(version: Version) -> None:
    coalescer_ = coalescer(version)
    first = start_request(coalescer_, 1.0)
    await turns()
    given_up, other = start_request(coalescer_, 2.0), start_request(coalescer_, 3.0)
    await turns()
    given_up.cancel()
    await turns()
    assert coalescer_.ongoing == 2
    version.open.set()
    await asyncio.gather(first, other)
    assert version.sent[1].inputs["x"].tolist() == [[3.0, 3.0]]


async def test_a_call_that_times_out_makes_room_again(version: Version) -> None:
    coalescer_ = coalescer(version, timeout_s=0.05)
    first, waiting = start_request(coalescer_, 1.0), start_request(coalescer_, 1.0, width=3)
    with pytest.raises(VersionTimedOutError):
        await first
    version.open.set()
    await waiting
    await coalescer_.drain()
