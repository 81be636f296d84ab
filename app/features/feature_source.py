"""The part of a recipe with feature views that materialisation and replay use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from app.features.rolling import RollingView

if TYPE_CHECKING:
    import pandas as pd


@runtime_checkable
class FeatureSource(Protocol):
    """A recipe whose features are looked up online."""

    @property
    def name(self) -> str:
        """The recipe's name."""

    @property
    def feature_views(self) -> tuple[RollingView, ...]:
        """The views, in the order of their columns; none where the configuration looks up nothing."""

    @property
    def events_version(self) -> str:
        """Changes whenever the events would; fit for a folder's name."""

    def events(self) -> Mapping[str, pd.DataFrame]:
        """The events by source: entity columns (text or whole numbers), ``instant`` (int64, whole seconds since
        1970-01-01 UTC, when the event became known) and values (float64). Of equal instants the order counts."""
