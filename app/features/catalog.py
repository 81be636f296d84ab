"""The feature views of an application, checked against each other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.features.view import FeatureView


@dataclass(frozen=True, slots=True)
class Catalog:
    """Views whose names and columns are distinct.

    Raises:
        ValueError: two views share a name, or a column (``a`` with ``b_c`` and ``a_b`` with ``c``).
    """

    views: tuple[FeatureView, ...]

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        names: set[str] = set()
        for view in self.views:
            if view.name in names:
                raise ValueError(f"feature view {view.name} is declared more than once")
            names.add(view.name)
            for column in (*view.columns, view.age):
                if column in owner:
                    raise ValueError(f"feature views {owner[column]} and {view.name} both make the column {column}")
                owner[column] = view.name

    def needed(self, columns: Collection[str]) -> tuple[FeatureView, ...]:
        """The views that make the columns, in the order of the declaration.

        Raises:
            ValueError: no view makes one of them.
        """
        made = {column: view for view in self.views for column in (*view.columns, view.age)}
        unknown = [column for column in columns if column not in made]
        if unknown:
            raise ValueError(f"no feature view makes {', '.join(unknown)}; there are {', '.join(made) or 'none'}")
        wanted = {made[column].name for column in columns}
        return tuple(view for view in self.views if view.name in wanted)
