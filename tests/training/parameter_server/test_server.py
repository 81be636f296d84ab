"""Calls that a server refuses, in this process."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.training.config.schedule import BatchPlan
from app.training.parameter_server.failures import ParameterServerError
from app.training.parameter_server.job import Optimization, Terms
from app.training.parameter_server.ranges import Range
from app.training.parameter_server.server import _Handout
from app.training.parameter_server.stale import StaleServer
from app.training.parameter_server.synchronous import SynchronousServer

INITIAL = np.arange(6, dtype=np.float32)


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    """Two servers of three parameters, two workers."""
    return Terms(
        mode="synchronous",
        bound=0,
        ranges=(Range(0, 3), Range(3, 6)),
        plan=BatchPlan(rows=64, batch_size=8, epochs=1, seed=0),
        workers=2,
        optimization=Optimization(0.1, 0.1, 0.01, 1.0),
        checkpoint_every=4,
        deadline_s=0.05,
        folder=str(tmp_path),
    )


async def test_a_missing_gradient_is_named_at_the_deadline(terms: Terms) -> None:
    server = SynchronousServer(1, terms)
    await server.start(INITIAL, None)
    with pytest.raises(ParameterServerError, match=r"step 0 has no gradient of rank 1: waited 0.05 s"):
        await server.contribute(0, 0, np.ones(3, np.float32), 0.0)


async def test_the_slowest_is_named_at_the_deadline(terms: Terms) -> None:
    server = StaleServer(1, replace(terms, mode="stale_synchronous", bound=2))
    await server.start(INITIAL, None)
    with pytest.raises(
        ParameterServerError, match="rank 0 may not begin step 3 before rank 0, 1 went on from step 0"
    ):
        await server.pull(0, 3)


async def test_gradient_beyond_the_bound_is_refused(terms: Terms) -> None:
    loose = StaleServer(0, replace(terms, mode="stale_synchronous", bound=1))
    await loose.start(INITIAL, None)
    loose._clocks = loose._clocks.advance(0).advance(0)
    with pytest.raises(ParameterServerError, match="rank 0 brings step 2 while the slowest is at 0: the bound is 1"):
        await loose.push_pull(0, 2, np.ones(3, np.float32), 0.0, 1.0)


async def test_gradient_after_close_changes_nothing(terms: Terms) -> None:
    """One server has made the update when the run is stopped, the other gets its order afterwards."""
    servers = [SynchronousServer(index, replace(terms, deadline_s=5)) for index in range(2)]
    for server in servers:
        await server.start(INITIAL, None)
        server._handouts = {rank: _Handout(0, 0) for rank in range(2)}
    gradient = np.ones(3, np.float32)
    sums = await asyncio.gather(
        *(server.contribute(rank, 0, gradient, 1.0) for server in servers for rank in range(2))
    )
    norm = math.sqrt(sums[0] + sums[2])
    await servers[0].commit(0, norm)
    for server in servers:
        await server.close()
        server._terms = terms  # which waits no longer
    with pytest.raises(ParameterServerError, match="rank 1 may not begin step 1"):
        await servers[1].commit_pull(1, 0, norm)
    assert await servers[1].clock(0) == 0
    await servers[1].commit(0, norm)  # as the driver settles them
    with pytest.raises(ParameterServerError, match="step 1 has no gradient of rank 0, 1"):
        await servers[0].contribute(0, 1, gradient, 1.0)
    assert [await server.clock(0) for server in servers] == [1, 1]


async def test_a_late_gradient_is_no_update(terms: Terms) -> None:
    server = StaleServer(0, replace(terms, mode="stale_synchronous", bound=0))
    await server.start(INITIAL, None)
    await server.close()
    with pytest.raises(ParameterServerError, match="rank 0 may not begin step 1"):
        await server.push_pull(0, 0, np.ones(3, np.float32), 1.0, 1.0)
    assert (await server.progress()).updates == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "asynchronous"}, "of a run with mode synchronous, workers 2.*; this one has mode asynchronous"),
        ({"workers": 3}, "this one has mode synchronous, workers 3"),
        ({"plan": BatchPlan(64, 16, 1, 0)}, "batch_size 16"),
    ],
)
async def test_a_checkpoint_of_another_run_is_refused(terms: Terms, changes: dict[str, object], message: str) -> None:
    server = SynchronousServer(0, terms)
    await server.start(INITIAL, None)
    await server.save(0)
    again = SynchronousServer(0, terms)
    await again.start(np.zeros_like(INITIAL), 0)
    assert again._shard.values.tolist() == [0, 1, 2]
    with pytest.raises(ParameterServerError, match=message):
        await SynchronousServer(0, replace(terms, **changes)).start(INITIAL, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "rate"), [("synchronous", 0.1), ("asynchronous", 0.05)])
def test_learning_rate(terms: Terms, mode: str, rate: float) -> None:
    assert replace(terms, mode=mode).learning_rate(0) == rate  # type: ignore[arg-type]
