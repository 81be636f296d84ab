"""The place where Feast keeps the rows of a feature view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from app.features.view import FeatureView

JoinKeyType = Literal["string", "int64", "int32"]


@dataclass(frozen=True, slots=True)
class JoinKey:
    """One column that names a Feast entity.

    Attributes:
        name: Feast's join key.
        type: type of its Feast entity, which is part of the key in Redis: the same number as an int32 and as an int64
            lies under two keys.

    Raises:
        ValueError: an empty name, or a type that cannot be a key here.
    """

    name: str
    type: JoinKeyType

    def __post_init__(self) -> None:
        _check_text("join key: name", self.name)
        if self.type not in get_args(JoinKeyType):
            raise ValueError(
                f"join key {self.name}: type {self.type!r} is none of {', '.join(get_args(JoinKeyType))}"
            )


@dataclass(frozen=True, slots=True)
class FeastView:
    """One of our feature views, with the names that Feast has for it.

    Attributes:
        view: what its rows mean here: types, ttl and defaults. Feast's own ttl is not in Redis.
        project: Feast's project.
        name: Feast's feature view; with ``_vN`` behind it where Feast's registry keeps versions of views online.
        join_keys: one for each of the view's entity columns, in that order.
        features: Feast's names, one for each of the view's features, in that order.

    Raises:
        ValueError: the declaration cannot be used; the message names field and value.
    """

    view: FeatureView
    project: str
    name: str
    join_keys: tuple[JoinKey, ...]
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        where = f"Feast view {self.name} of feature view {self.view.name}"
        _check_text(f"{where}: project", self.project)
        _check_text(f"{where}: name", self.name)
        for feature in self.features:
            _check_text(f"{where}: feature", feature)
        _check_places(f"{where}: join_keys", [key.name for key in self.join_keys], self.view.entity)
        _check_places(f"{where}: features", self.features, [feature.name for feature in self.view.features])


def _check_text(what: str, text: str) -> None:
    if not isinstance(text, str) or not text:
        raise ValueError(f"{what} {text!r} takes a text that is not empty")


def _check_places(what: str, names: Sequence[str], ours: Sequence[str]) -> None:
    if len(set(names)) != len(names) or len(names) != len(ours):
        raise ValueError(f"{what} {tuple(names)!r} takes one distinct name for each of {', '.join(ours)}")
