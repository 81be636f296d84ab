"""The split gives exact shares, is sticky, and moves keys only to the version whose weight was raised."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.split import pick, rank, uniform

KEYS = [f"N{number}" for number in range(20_000)]

versions = st.lists(st.integers(1, 99).map(str), min_size=1, max_size=6, unique=True)
weights = versions.flatmap(
    lambda names: st.lists(st.floats(0, 1, width=32), min_size=len(names), max_size=len(names)).map(
        lambda values: dict(zip(names, values, strict=True))
    )
)
keys = st.text(max_size=12)
salts = st.text(alphabet="0123456789abcdef", min_size=1, max_size=16)


@pytest.mark.parametrize(
    "shares",
    [
        {"1": 0.9, "2": 0.1},
        {"1": 0.5, "2": 0.5},
        {"1": 0.99, "2": 0.01},
        {"1": 0.2, "2": 0.3, "3": 0.5},
        {"1": 0.0, "2": 1.0},
        {"1": 2.0, "2": 6.0},  # need not sum to 1
    ],
)
def test_shares_are_the_weights(shares: dict[str, float]) -> None:
    total = sum(shares.values())
    counts = dict.fromkeys(shares, 0)
    for key in KEYS:
        version = pick(shares, "salt", key)
        assert version is not None
        counts[version] += 1
    for version, weight in shares.items():
        share = weight / total
        sigma = math.sqrt(share * (1 - share) / len(KEYS))
        assert abs(counts[version] / len(KEYS) - share) <= 4.5 * sigma


@given(weights, keys, salts)
def test_only_versions_with_weight_are_ranked_and_each_once(shares: dict[str, float], key: str, salt: str) -> None:
    assert sorted(rank(shares, salt, key)) == sorted(version for version, weight in shares.items() if weight > 0)


@given(weights, keys, salts)
def test_order_of_the_weights_does_not_matter(shares: dict[str, float], key: str, salt: str) -> None:
    assert rank(dict(reversed(shares.items())), salt, key) == rank(shares, salt, key)


@given(weights, keys, salts, st.data())
def test_a_raised_weight_attracts_keys_and_moves_no_other(
    shares: dict[str, float], key: str, salt: str, data: st.DataObject
) -> None:
    raised = data.draw(st.sampled_from(sorted(shares)))
    more = {**shares, raised: shares[raised] + data.draw(st.floats(0, 1, width=32))}
    before, after = pick(shares, salt, key), pick(more, salt, key)
    assert after in (before, raised)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=5).map(sorted), keys, salts)
def test_a_rising_weight_never_loses_a_key(steps: list[float], key: str, salt: str) -> None:
    moved = False
    for share in steps:
        challenger = pick({"1": 1 - share, "2": share}, salt, key) == "2"
        assert challenger or not moved
        moved = challenger


@given(weights, keys, salts)
def test_a_version_without_weight_changes_nothing(shares: dict[str, float], key: str, salt: str) -> None:
    assert pick({**shares, "new": 0.0}, salt, key) == pick(shares, salt, key)


@given(weights, keys, salts, st.floats(0.01, 1))
def test_an_added_version_takes_keys_but_moves_none_between_the_others(
    shares: dict[str, float], key: str, salt: str, weight: float
) -> None:
    assert pick({**shares, "new": weight}, salt, key) in (pick(shares, salt, key), "new")


def test_another_salt_is_an_independent_split() -> None:
    half = {"1": 0.5, "2": 0.5}
    same = sum(pick(half, "a", key) == pick(half, "b", key) for key in KEYS)
    assert abs(same / len(KEYS) - 0.5) < 4.5 * math.sqrt(0.25 / len(KEYS))


def test_draws_are_the_same_in_another_process() -> None:
    code = "from app.routing.split import uniform; print(repr(uniform('salt', '7', 'N12345')))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(shown) == uniform("salt", "7", "N12345")


def test_without_weights_no_version_is_ranked() -> None:
    assert pick({}, "salt", "key") is None
    assert pick({"1": 0.0}, "salt", "key") is None
