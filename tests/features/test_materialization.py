"""From events in Parquet to rows in Redis, and on from there by replay: repeated, cut off, restarted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from redis.asyncio import Redis

from app.features import (
    EventStore,
    EventStoreError,
    FeatureCheckpoint,
    FeatureStoreError,
    Last,
    MeanOfLast,
    OnlineStore,
    Replayer,
    RollingView,
    ViewRequest,
    Written,
    materialize,
)
from app.features.materialization import SECOND, MaterializationProgress, ViewPart, _rows, newest_rows
from app.settings import Settings

T0 = 1_380_000_000
ONE = RollingView("one", ("key",), "events", {"last": Last("x"), "mean": MeanOfLast("x", 3)}, ttl=500)
TWO = RollingView("two", ("key", "hour"), "events", {"last": Last("x"), "gap": Last("gap")}, ttl=5000)
VIEWS = (ONE, TWO)


def events(count: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(1)
    keys = random.choice(np.array(["a", "b", "ü:%", "", "d"], dtype=object), count)
    x = random.normal(size=count)
    return pd.DataFrame(
        {
            "key": pd.Series(keys, dtype="str"),
            "hour": random.integers(0, 3, count),
            "instant": T0 + np.sort(random.integers(0, 1000, count)),
            "x": x,
            "gap": np.where(x > 0, x, np.nan),
        }
    )


@pytest.fixture
def offline(tmp_path: Path) -> EventStore:
    store = EventStore.of(str(tmp_path), "tiny", "1")
    store.write("events", events())
    return store


@pytest.fixture
def store(redis: Redis) -> OnlineStore:
    return OnlineStore(redis, timeout_s=5)


@pytest.fixture
def checkpoint(redis: Redis, store: OnlineStore) -> FeatureCheckpoint:
    return FeatureCheckpoint(redis, store, lease_s=60)


async def run(
    offline: EventStore, until: int, store: OnlineStore, checkpoint: FeatureCheckpoint
) -> tuple[list[MaterializationProgress], Written]:
    seen: list[MaterializationProgress] = []
    done = await materialize(VIEWS, offline, until, store, checkpoint, replayed=True, report=seen.append)
    total = [done.views[view.name] for view in VIEWS]
    return seen, Written(
        *(sum(column) for column in zip(*((w.written, w.skipped, w.expired) for w in total), strict=True))
    )


async def held(store: OnlineStore) -> list[str]:
    """Every row, as text: a missing number equals none."""
    keys = ("a", "b", "ü:%", "d")
    one, two = await store.read(
        [
            ViewRequest(ONE.declaration, [(key,) for key in keys]),
            ViewRequest(TWO.declaration, [(key, hour) for key in keys for hour in range(3)]),
        ]
    )
    return list(map(repr, (*one.rows, *two.rows)))


def test_events_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.features.event_store.ROWS_PER_FILE", 70)
    offline = EventStore(str(tmp_path))
    with pytest.raises(EventStoreError, match="no events of events"):
        offline.read("events")
    shuffled = events().sample(frac=1, random_state=0)
    info = offline.write("events", shuffled)
    assert (info.rows, info.newest) == (300, int(shuffled["instant"].max()))
    assert len(list((tmp_path / "events").glob("*.parquet"))) == 5
    expected = shuffled.sort_values("instant", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(offline.read("events"), expected)
    middle = expected[(expected["instant"] > T0 + 100) & (expected["instant"] <= T0 + 500)]
    found = offline.read("events", after=T0 + 100, until=T0 + 500)
    pd.testing.assert_frame_equal(found, middle.reset_index(drop=True))
    (tmp_path / "events" / "complete.json").unlink()
    assert offline.info("events") is None


def test_shares_of_the_entities_are_all_of_them_once() -> None:
    whole = newest_rows(ViewPart(TWO, 0, 1), events())
    shares = [newest_rows(ViewPart(TWO, share, 3), events()) for share in range(3)]
    assert sum(len(share) > 0 for share in shares) > 1
    joined = pd.concat(shares)
    assert sorted(map(repr, joined.itertuples(index=False))) == sorted(map(repr, whole.itertuples(index=False)))
    assert len(whole) == 12


async def test_a_repeat_changes_nothing_and_one_that_follows_is_quick(
    offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint, redis: Redis
) -> None:
    seen, first = await run(offline, T0 + 800, store, checkpoint)
    assert first == Written(16, 0, 0)
    assert (seen[0], seen[-1]) == (MaterializationProgress(0, 2, 0), MaterializationProgress(2, 2, 16))
    await checkpoint.move((T0 + 800) * SECOND, 0.0, "x")
    before = await held(store)
    seen, again = await run(offline, T0 + 800, store, checkpoint)
    assert (seen, again) == ([MaterializationProgress(2, 2, 0)], Written(0, 0, 0))
    await redis.delete("tidegate:{feature}:materialized")
    _, again = await run(offline, T0 + 800, store, checkpoint)
    assert again == Written(16, 0, 0)
    assert await held(store) == before
    _, older = await run(offline, T0 + 400, store, checkpoint)
    assert older == Written(0, 16, 0)
    assert await held(store) == before


async def test_interrupted_run_continues_with_the_parts_that_are_left(
    offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint
) -> None:
    def cut(progress: MaterializationProgress) -> None:
        if progress.parts_done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await materialize(VIEWS, offline, T0 + 800, store, checkpoint, replayed=True, report=cut)
    seen, left = await run(offline, T0 + 800, store, checkpoint)
    assert seen[0] == MaterializationProgress(1, 2, 0)
    assert left == Written(12, 0, 0)


@pytest.mark.parametrize("steps", [[1000], [401, 500, 500, 730, 1000], list(range(407, 1000, 11))])
async def test_a_replay_ends_at_the_rows_of_its_instant(
    offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint, redis: Redis, steps: list[int]
) -> None:
    await run(offline, T0 + 400, store, checkpoint)
    replayer = Replayer(VIEWS, offline, T0 + 400, store, checkpoint)
    await replayer.begin()
    assert await store.now() == (T0 + 400) * SECOND
    known = sum([(await replayer.advance(T0 + step)).events for step in steps])
    assert await store.now() == (T0 + steps[-1]) * SECOND
    table = events()["instant"]
    assert known == ((table > T0 + 400) & (table <= T0 + steps[-1])).sum()
    replayed = await held(store)
    await redis.flushdb()
    await run(offline, T0 + steps[-1], store, checkpoint)
    await checkpoint.move((T0 + steps[-1]) * SECOND, 0.0, "x")
    assert await held(store) == replayed
    with pytest.raises(ValueError, match="cannot go back"):
        await replayer.advance(T0 + 400)


async def test_failed_replay_step_is_written_by_the_next(
    offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(offline, T0 + 400, store, checkpoint)
    replayer = Replayer(VIEWS, offline, T0 + 400, store, checkpoint)
    await replayer.begin()

    async def away(*_: object, **__: object) -> Written:
        raise FeatureStoreError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_all", away)
        with pytest.raises(FeatureStoreError):
            await replayer.advance(T0 + 900)
    assert await store.now() == (T0 + 400) * SECOND
    step = await replayer.advance(T0 + 900)
    assert step.events == 0
    assert step.rows.written == 16


async def test_a_view_is_cleared_alone(
    offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint
) -> None:
    await run(offline, T0 + 800, store, checkpoint)
    assert await store.clear(ONE.declaration) == 4
    assert await store.clear(ONE.declaration) == 0
    assert await store.clear(TWO.declaration) == 12


async def test_on_ray_the_rows_are_the_same(
    driver: Settings, offline: EventStore, store: OnlineStore, checkpoint: FeatureCheckpoint, redis: Redis
) -> None:
    _, done = await run(offline, T0 + 800, store, checkpoint)
    assert done == Written(16, 0, 0)
    await checkpoint.move((T0 + 800) * SECOND, 0.0, "x")
    spread = await held(store)
    await redis.flushdb()
    for view in VIEWS:
        found = newest_rows(ViewPart(view, 0, 1), offline.read("events", until=T0 + 800))
        await store.write(view.declaration, _rows(found), as_of=(T0 + 800) * SECOND)
    await checkpoint.move((T0 + 800) * SECOND, 0.0, "x")
    assert await held(store) == spread
