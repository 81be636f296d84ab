"""Ray metrics of a part that counts for itself.

On a request's path a part adds to plain integers; :class:`Counts` publishes what was added, now and then. Only
latencies are recorded one by one (3 µs each), since Ray has no way to hand over a histogram.
"""

from __future__ import annotations

from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of latency buckets, seconds."""


class Latency:
    """A histogram of seconds by labels."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._histogram = Histogram(name, description, boundaries=list(SECONDS), tag_keys=labels)
        self._tags: dict[tuple[str, ...], dict[str, str]] = {}

    def observe(self, seconds: float, *values: str) -> None:
        """Records one; ``values`` in the order of the labels."""
        tags = self._tags.get(values)
        if tags is None:
            tags = self._tags[values] = dict(zip(self._labels, values, strict=True))
        self._histogram.observe(seconds, tags)


class Counts:
    """Counters that a part keeps itself, as growing integers.

    Args:
        name: of the metric; label: what tells one counter from another.
    """

    def __init__(self, name: str, description: str, label: str) -> None:
        self._label = label
        self._counter = Counter(name, description, tag_keys=(label,))
        self._published: dict[str, int] = {}

    def publish(self, counts: Mapping[str, int]) -> None:
        """Adds the counts since the last call."""
        for which, count in counts.items():
            added = count - self._published.get(which, 0)
            if added > 0:
                self._counter.inc(added, {self._label: which})
                self._published[which] = count


class Levels:
    """Values that go up and down, by labels; one that is no longer there falls to 0."""

    def __init__(self, name: str, description: str, *labels: str) -> None:
        self._labels = labels
        self._gauge = Gauge(name, description, tag_keys=labels)
        self._shown: set[tuple[str, ...]] = set()

    def publish(self, levels: Mapping[tuple[str, ...], float]) -> None:
        """Sets the values; keys in the order of the labels."""
        for which in self._shown - levels.keys():
            self._set(which, 0.0)
        for which, level in levels.items():
            self._set(which, level)
        self._shown = set(levels)

    def _set(self, which: tuple[str, ...], level: float) -> None:
        self._gauge.set(level, dict(zip(self._labels, which, strict=True)))
