"""The feature view: the declaration that training, materialisation and serving share."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, get_args

from app.features.dtypes import Dtype, Value, fitted

MAX_TTL = 2**31 - 1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class MissingPolicy(Enum):
    """The type of :data:`REJECT`."""

    REJECT = "refuse"


REJECT: Literal[MissingPolicy.REJECT] = MissingPolicy.REJECT
"""A feature without default: a request that needs it is refused when it is missing."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One typed field of a view.

    Attributes:
        name: lower case letters, digits and underscores.
        dtype: type of its values.
        when_missing: what a request gets when the row is missing or stale, or holds null here: a default of the
            feature's type, or ``REJECT``. NaN says that the number is missing, to models that know missing numbers.

    Raises:
        ValueError: a name, type or default that cannot be used.
    """

    name: str
    dtype: Dtype
    when_missing: Value | MissingPolicy

    def __post_init__(self) -> None:
        _check_name("feature", self.name)
        if self.dtype not in get_args(Dtype):
            raise ValueError(f"feature {self.name}: dtype {self.dtype!r} is none of {', '.join(get_args(Dtype))}")
        if not isinstance(self.when_missing, MissingPolicy):
            try:
                default = fitted(self.dtype, self.when_missing)
            except ValueError as error:
                raise ValueError(f"feature {self.name}: when_missing takes REJECT or a default; {error}") from None
            if isinstance(default, float) and math.isinf(default):
                raise ValueError(f"feature {self.name}: when_missing {default} takes a finite number or NaN")
            if isinstance(default, float) and math.isnan(default):
                default = math.nan  # one object, so that equal declarations compare as equal
            object.__setattr__(self, "when_missing", default)


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of one kind of entity, with one row per entity.

    Attributes:
        name: outside of the view, feature ``f`` is called ``{name}_f``.
        entity: request columns that name the entity together.
        features: in the order of a row's values.
        ttl: seconds after its event time during which a row is fresh, the last one included.
        event_time: column of the source that says when a row became known.
        source: label or path of what the rows come from.
        schema: digest over the name and the typed features (not over defaults, which rows do not hold); derived.

    Raises:
        ValueError: the declaration cannot be used; the message names field and value.
    """

    name: str
    entity: tuple[str, ...]
    features: tuple[Feature, ...]
    ttl: int
    event_time: str
    source: str
    schema: str = field(init=False)

    def __post_init__(self) -> None:
        _check_name("feature view", self.name)
        where = f"feature view {self.name}"
        if not isinstance(self.entity, tuple) or not self.entity or not all(map(_is_text, self.entity)):
            raise ValueError(f"{where}: entity {self.entity!r} takes a tuple of one or more column names")
        _check_distinct(f"{where}: entity", self.entity)
        if not isinstance(self.features, tuple) or not self.features:
            raise ValueError(f"{where}: features {self.features!r} takes a tuple of one or more features")
        _check_distinct(f"{where}: features", tuple(feature.name for feature in self.features))
        if any(feature.name == "age" for feature in self.features):
            raise ValueError(f"{where}: a feature 'age' would hide the derived column {self.age}")
        if type(self.ttl) is not int or not 1 <= self.ttl <= MAX_TTL:
            raise ValueError(f"{where}: ttl {self.ttl!r} takes whole seconds, 1 to {MAX_TTL}")
        for name, text in (("event_time", self.event_time), ("source", self.source)):
            if not _is_text(text):
                raise ValueError(f"{where}: {name} {text!r} takes a text that is not empty")
        typed = [self.name, *([feature.name, feature.dtype] for feature in self.features)]
        object.__setattr__(self, "schema", hashlib.sha256(json.dumps(typed).encode()).hexdigest()[:16])

    @property
    def age(self) -> str:
        """The derived column: seconds from a row's event time to the request's instant."""
        return f"{self.name}_age"

    @property
    def columns(self) -> Mapping[str, Feature]:
        """The features by the names of their columns in a request; the age is not among them."""
        return {f"{self.name}_{feature.name}": feature for feature in self.features}

    def is_fresh(self, event_time: int, instant: int) -> bool:
        """True where a row may be served at ``instant``; both in microseconds since the epoch."""
        return instant - event_time <= self.ttl * 1_000_000


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{what}: name {name!r} takes lower case letters, digits and underscores, a letter first, 64 at most"
        )


def _check_distinct(what: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} names {', '.join(map(repr, twice))} more than once")
