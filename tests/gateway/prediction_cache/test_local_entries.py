"""A replica's own entries: bounded in bytes and number, gone after their ttl."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.gateway.prediction_cache.local_entries import LocalEntries


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_entry_is_gone_after_its_ttl() -> None:
    clock = Clock()
    entries = LocalEntries[str](100, 10, clock)
    entries.put(b"a", "A", 7, ttl_s=2)
    clock.now += 1.9
    assert entries.get(b"a") == "A"
    clock.now += 0.1
    assert entries.get(b"a") is None
    assert (len(entries), entries.held_bytes) == (0, 0)


def test_the_least_recently_used_leave_first() -> None:
    entries = LocalEntries[int](100, 2)
    entries.put(b"a", 1, 1, 60)
    entries.put(b"b", 2, 1, 60)
    entries.get(b"a")
    entries.put(b"c", 3, 1, 60)
    assert [entries.get(key) for key in (b"a", b"b", b"c")] == [1, None, 3]
    entries.put(b"d", 4, 99, 60)
    assert [entries.get(key) for key in (b"a", b"c", b"d")] == [None, 3, 4]


def test_an_entry_larger_than_the_bound_evicts_none() -> None:
    entries = LocalEntries[int](10, 10)
    entries.put(b"a", 1, 5, 60)
    entries.put(b"b", 2, 11, 60)
    assert (entries.get(b"a"), entries.get(b"b")) == (1, None)
    entries.put(b"a", 3, 11, 60)
    assert (entries.get(b"a"), entries.held_bytes) == (None, 0)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.integers(0, 60), st.floats(0.1, 5)), max_size=60))
def test_the_bounds_hold_and_the_bytes_add_up(puts: list[tuple[bytes, int, float]]) -> None:
    clock = Clock()
    entries = LocalEntries[int](100, 5, clock)
    for key, size, ttl_s in puts:
        entries.put(key, size, size, ttl_s)
        assert entries.get(key) == size
        assert len(entries) <= 5
        assert entries.held_bytes <= 100
        clock.now += 0.5
    held = [found for key in {key for key, *_ in puts} if (found := entries.get(key)) is not None]
    assert entries.held_bytes == sum(held)
    assert len(entries) == len(held)
