"""From the columns of requests to the arrays of the network: one function for training and serving.

This file travels with the model as a top-level module: it imports nothing of the application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RawColumns = Mapping[str, Any]
"""Columns of requests by name: arrays or Series; a mapping or a DataFrame."""

RARE = 30
"""Text seen in fewer training rows shares code 0 with text never seen."""
COMMONLY_MISSING = 0.001
"""A number missing in a greater share of the training rows gets an indicator, shared by all that are missing in the
same rows; others are only filled."""
CONSTANT = 1e-9
"""A number with a smaller standard deviation does not vary but by rounding, and is not scaled."""
CLIP = 6.0
"""Standardised numbers are kept within this many standard deviations."""


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric column as it enters the network.

    Attributes:
        name: of the raw or derived column.
        unit: where given, x becomes sign(x) log(1 + |x| / unit).
        mean, std: over the training rows, after that.
    """

    name: str
    unit: float | None
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Encoding:
    """Constants that the training rows fix.

    Attributes:
        vocabularies: by categorical column, the texts with codes 1, 2, …; 0 is any other.
        numbers: numeric columns, in the order of the network's inputs.
        indicators: columns of ``numbers`` whose absence is an input of its own; these inputs come last.
        refuse_uncoded: true where text that has no code of its own is refused instead of sharing code 0; empty text,
            which stands for what is not known, never is.
    """

    vocabularies: Mapping[str, tuple[str, ...]]
    numbers: tuple[Number, ...]
    indicators: tuple[str, ...]
    refuse_uncoded: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Encoding:
        """The inverse of :meth:`as_json`."""
        return cls(
            {name: tuple(texts) for name, texts in values["vocabularies"].items()},
            tuple(Number(**number) for number in values["numbers"]),
            tuple(values["indicators"]),
            values["refuse_uncoded"],
        )


def fit(columns: RawColumns, categories: tuple[str, ...], numbers: Mapping[str, float | None]) -> Encoding:
    """Vocabularies, means and standard deviations of training rows.

    Args:
        categories: categorical columns; integers count as text.
        numbers: unit (see :class:`Number`) by numeric column, raw or derived.
    """
    vocabularies = {}
    for name in categories:
        texts, counts = np.unique(np.array(_texts(columns, name)), return_counts=True)
        common = zip(texts.tolist(), counts.tolist(), strict=True)
        vocabularies[name] = tuple(text for text, count in common if text and count >= RARE)
    fitted = []
    indicators: dict[bytes, str] = {}
    for name, unit in numbers.items():
        values = _values(columns, name)
        values = values if unit is None else _logarithm(values, unit)
        mean, std = float(np.nanmean(values)), float(np.nanstd(values))
        fitted.append(Number(name, unit, mean, std if std > CONSTANT else 1.0))
        absent = np.isnan(values)
        if absent.mean() > COMMONLY_MISSING:
            indicators.setdefault(np.packbits(absent).tobytes(), name)
    return Encoding(vocabularies, tuple(fitted), tuple(indicators.values()))


class Encoder:
    """Columns of requests to the network's inputs."""

    def __init__(self, encoding: Encoding) -> None:
        self._codes = {
            name: {text: code for code, text in enumerate(vocabulary, start=1)}
            for name, vocabulary in encoding.vocabularies.items()
        }
        self._names = [number.name for number in encoding.numbers]
        self._logarithmic = np.array([number.unit is not None for number in encoding.numbers])
        self._unit = np.array([number.unit for number in encoding.numbers if number.unit is not None])
        self._mean = np.array([number.mean for number in encoding.numbers])
        self._std = np.array([number.std for number in encoding.numbers])
        self._indicators = [self._names.index(name) for name in encoding.indicators]
        self._refuse_uncoded = encoding.refuse_uncoded

    def __call__(self, columns: RawColumns) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Codes, shape (rows, categories), and standardised numbers with the indicators, shape (rows, numbers).

        A number that is missing (NaN, None, or its column left out) is filled with the training mean, which is 0.

        Raises:
            ValueError: text that has no code, where the encoding refuses it.
        """
        codes = [[known.get(text, 0) for text in _texts(columns, name)] for name, known in self._codes.items()]
        if self._refuse_uncoded:
            self._require_codes(columns, codes)
        values = np.stack([_values(columns, name) for name in self._names], axis=1)
        values[:, self._logarithmic] = _logarithm(values[:, self._logarithmic], self._unit)
        values = (values - self._mean) / self._std
        absent = ~np.isfinite(values)
        numbers = np.where(absent, 0.0, np.clip(values, -CLIP, CLIP))
        inputs = np.concatenate([numbers, absent[:, self._indicators]], axis=1, dtype=np.float32)
        return np.array(codes, dtype=np.int64).T.copy(), inputs

    def _require_codes(self, columns: RawColumns, codes: list[list[int]]) -> None:
        for name, coded in zip(self._codes, codes, strict=True):
            for text, code in zip(_texts(columns, name), coded, strict=True):
                if text and not code:
                    raise ValueError(f"{name} {text!r} has no code: fewer than {RARE} training rows had it")


def _texts(columns: RawColumns, name: str) -> list[str]:
    return [str(value) for value in columns[name]]


def _values(columns: RawColumns, name: str) -> NDArray[np.float64]:
    return DERIVED[name](columns) if name in DERIVED else _raw(columns, name)


def _logarithm(values: NDArray[np.float64], unit: float | NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values) / unit)
    return scaled


def _raw(columns: RawColumns, name: str) -> NDArray[np.float64]:
    if name in columns:
        return np.asarray(columns[name], dtype=np.float64)
    return np.full(len(columns["carrier"]), np.nan)


def _time_of_day(columns: RawColumns) -> NDArray[np.float64]:
    return _raw(columns, "hour") + _raw(columns, "minute") / 60


def _since_possible_return(columns: RawColumns) -> NDArray[np.float64]:
    """Minutes by which the aircraft's last landing lies further back than a flight of the same length takes."""
    return _raw(columns, "tail_arrivals_age") / 60 - _raw(columns, "tail_arrivals_elapsed")


def _since_round_trip(columns: RawColumns) -> NDArray[np.float64]:
    """The same from its last departure, for there and back."""
    return _raw(columns, "tail_departures_age") / 60 - 2 * _raw(columns, "tail_departures_scheduled")


DERIVED: Mapping[str, Callable[[RawColumns], NDArray[np.float64]]] = {
    "time_of_day": _time_of_day,
    "tail_since_possible_return": _since_possible_return,
    "tail_since_round_trip": _since_round_trip,
}
"""Numeric columns that are computed from others."""
