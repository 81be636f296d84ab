"""Entities: which one a request's row names, and the Redis key of its feature row."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any

from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.features.view import FeatureView

Entity = tuple[str | int, ...]
"""One value for each of the view's entity columns; a number and its decimal text are the same."""

# One hash tag for all rows: a Redis Cluster answers an MGET only within one slot, and the entities of one request
# (an aircraft, an airport, a carrier) have nothing else in common. The price: one shard holds all rows, some millions
# per GB. The tag comes before the entity, whose own braces then mean nothing.
PREFIX = "tidegate:{feature}"
MAX_KEY_BYTES = 1024


class EntityError(InvalidArgumentError, ValueError):
    """A value that cannot name an entity; the message names view and value."""


def entities(view: FeatureView, columns: Mapping[str, NDArray[Any]]) -> tuple[Entity | None, ...]:
    """Each row's entity; None where a column that names it is empty or null.

    Args:
        columns: arrays by name, shape (rows,), text as dtype object.

    Raises:
        EntityError: a column is not there, or holds neither text nor whole numbers.
    """
    absent = [name for name in view.entity if name not in columns]
    if absent:
        raise EntityError(f"feature view {view.name} needs the column{'s' * (len(absent) > 1)} {', '.join(absent)}")
    found: list[Entity | None] = []
    for entity in zip(*(columns[name].tolist() for name in view.entity), strict=True):
        if None in entity or "" in entity:
            found.append(None)
        else:
            _check(view, entity)
            found.append(entity)
    return tuple(found)


def key_of(view: FeatureView, entity: Entity) -> bytes:
    """The Redis key of an entity's row; different entities have different keys.

    Raises:
        EntityError: not one text or whole number per entity column, empty, not Unicode, or too long.
    """
    _check(view, entity)
    try:
        key = ":".join((PREFIX, view.name, *map(_escaped, entity))).encode()
    except UnicodeEncodeError as error:
        raise EntityError(f"feature view {view.name}: entity {shown(entity)} is no text: {error.reason}") from None
    if len(key) > MAX_KEY_BYTES:
        raise EntityError(
            f"feature view {view.name}: the entity {shown(entity)} makes a key of {len(key)} bytes; "
            f"{MAX_KEY_BYTES} are accepted"
        )
    return key


def _check(view: FeatureView, entity: Entity) -> None:
    for part in entity:
        if not isinstance(part, str | int) or isinstance(part, bool) or part == "":
            raise EntityError(
                f"feature view {view.name}: entity {shown(entity)} holds {shown(part)} ({type(part).__name__}); "
                "text that is not empty and whole numbers are accepted"
            )
    if len(entity) != len(view.entity):
        raise EntityError(
            f"feature view {view.name}: entity {shown(entity)} takes one value for each of {', '.join(view.entity)}"
        )


def _escaped(part: str | int) -> str:
    text = str(part)
    return text.replace("%", "%25").replace(":", "%3A") if ":" in text or "%" in text else text
