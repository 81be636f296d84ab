"""Number of workers that there is room for."""

from __future__ import annotations

import pytest

from app.training.config.world_sizes import largest
from app.training.driver.nodes import count, matches


@pytest.mark.parametrize(
    ("free", "per_worker", "without", "workers"),
    [
        ({"a": {"CPU": 4.0}, "b": {"CPU": 2.5}}, {"CPU": 1}, (), 6),
        ({"a": {"CPU": 4.0}, "b": {"CPU": 2.5}}, {"CPU": 1}, ("a",), 2),
        ({"a": {"CPU": 8.0, "GPU": 1.0}}, {"CPU": 1, "GPU": 1}, (), 1),
        ({"a": {"CPU": 8.0}}, {"CPU": 1, "GPU": 1}, (), 0),
        ({"a": {"CPU": 0.9999999}}, {"CPU": 1}, (), 1),
        ({}, {"CPU": 1}, (), 0),
    ],
)
def test_count_of_workers_that_fit(
    free: dict[str, dict[str, float]], per_worker: dict[str, float], without: tuple[str, ...], workers: int
) -> None:
    assert count(free, per_worker, without) == workers


@pytest.mark.parametrize(("room", "chosen"), [(9, 8), (8, 8), (5, 4), (2, 2), (1, None)])
def test_largest_size_that_fits(room: int, chosen: int | None) -> None:
    assert largest([2, 4, 8], room) == chosen


@pytest.mark.parametrize(
    ("labels", "wanted", "answer"),
    [
        ({"role": "training"}, {}, True),
        ({"role": "training"}, {"role": "training"}, True),
        ({"role": "serving"}, {"role": "training"}, False),
        ({}, {"role": "training"}, False),
        ({"role": "serving"}, {"role": "!serving"}, False),
        ({}, {"role": "!serving"}, True),
        ({"role": "training", "zone": "a"}, {"role": "training", "zone": "b"}, False),
    ],
)
def test_node_labels_match(labels: dict[str, str], wanted: dict[str, str], answer: bool) -> None:
    assert matches(labels, wanted) is answer
