"""Cron schedules as the operator reads them (robfig/cron 3, ``ParseStandard``): five fields or a descriptor."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster.kube.rules.durations import nanoseconds

_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"\+?[0-9]+")
_LONGEST_MONTH = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


@dataclass(frozen=True, slots=True)
class _Bounds:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Bounds("minute", 0, 59),
    _Bounds("hour", 0, 23),
    _Bounds("day of month", 1, 31),
    _Bounds("month", 1, 12, _MONTHS),
    _Bounds("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values that match, per field; ``any_weekday`` where the last field is ``*`` or ``?``."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @property
    def happens(self) -> bool:
        """Whether any moment matches; ``0 0 30 2 *`` is well formed and never comes."""
        if not (self.minutes and self.hours and self.months):
            return False
        of_month = any(day <= _LONGEST_MONTH[month] for day in self.days for month in self.months)
        # A star on either side asks for both to match; without one, either will do.
        both = self.any_day or self.any_weekday
        return of_month and bool(self.weekdays) if both else of_month or bool(self.weekdays)


def parse(text: str) -> Schedule | None:
    """The schedule, or ``None`` for a descriptor (``@daily``, ``@every 90m``), which always comes round.

    Raises:
        ValueError: which field is wrong, and what it takes.
    """
    if text.startswith("@"):
        if text.startswith("@every "):
            nanoseconds(text.removeprefix("@every "))
        elif text not in _DESCRIPTORS:
            raise ValueError(f"{text!r}; {', '.join(_DESCRIPTORS)} or '@every 90m'")
        return None
    words = text.split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"{len(words)} fields; minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (_matches(*pair) for pair in zip(words, _FIELDS, strict=True))
    return Schedule(minutes, hours, days, months, weekdays, _is_star(words[2]), _is_star(words[4]))


def _matches(word: str, bounds: _Bounds) -> frozenset[int]:
    """Empty entries of a list are skipped, so ``,`` is accepted and matches nothing."""
    found: set[int] = set()
    for part in word.split(","):
        if part:
            found |= _range(part, bounds)
    return frozenset(found)


def _range(part: str, bounds: _Bounds) -> set[int]:
    span, *steps = part.split("/")
    low, *high = span.split("-")
    if low in ("*", "?"):
        start, end = bounds.least, bounds.most  # what follows a star and a hyphen is never looked at
    else:
        start = _value(low, bounds)
        end = _value(high[0], bounds) if high else start
        if len(high) > 1:
            raise ValueError(f"{bounds.name} {part!r}; one hyphen")
    step = 1
    if steps:
        if len(steps) > 1:
            raise ValueError(f"{bounds.name} {part!r}; one slash")
        step = _number(steps[0], bounds)
        if not high:
            end = bounds.most  # 5/10 is 5-59/10
    if not (bounds.least <= start <= end <= bounds.most) or step == 0:
        raise ValueError(f"{bounds.name} {part!r}; {bounds.least} to {bounds.most}, rising, in steps of at least 1")
    return set(range(start, end + 1, step))


def _value(word: str, bounds: _Bounds) -> int:
    if word.lower() in bounds.names:
        return bounds.names.index(word.lower()) + bounds.least
    return _number(word, bounds)


def _number(word: str, bounds: _Bounds) -> int:
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"{bounds.name} {word!r}; a number from {bounds.least} to {bounds.most}")
    return int(word)


def _is_star(word: str) -> bool:
    """Whether one entry of the list is a star with step 1: the parser marks such a field as free."""
    return any(
        re.match(r"[*?]", part) and (part.partition("/")[2] or "1").lstrip("+0") == "1" for part in word.split(",")
    )
