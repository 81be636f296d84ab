"""Rows that Feast has materialised into Redis, read as if they were our own; nothing here writes.

``source`` says where a view's rows are, ``store`` reads them. Feast's layout, as of 0.67: a hash for each entity,
whose key is the serialized entity key and the project (``keys``), and in it, for each feature view of that entity,
one field for the event time and one a feature (``wire``).
"""

from app.features.feast.source import FeastView, JoinKey, JoinKeyType
from app.features.feast.store import FeastStore

__all__ = ["FeastStore", "FeastView", "JoinKey", "JoinKeyType"]
