"""Has Feast itself write rows to Redis. Runs under a Python that has Feast and nothing of ours.

``PYTHON repository.py FOLDER HOST:PORT,password=…`` with, on standard input, a JSON object: project and views, each
with name, ttl in seconds, join_keys and features as pairs of name and Feast's type, and rows by column, with
event_timestamp in microseconds since the epoch. Writes them as Parquet, applies and materialises.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import feast
import feast.types
import pyarrow as pa
import pyarrow.parquet
from feast.infra.online_stores.redis import RedisOnlineStoreConfig
from feast.repo_config import RegistryConfig
from feast.value_type import ValueType

ARROW = {
    "Float64": pa.float64(),
    "Float32": pa.float32(),
    "Int64": pa.int64(),
    "Int32": pa.int32(),
    "Bool": pa.bool_(),
    "String": pa.string(),
    "UnixTimestamp": pa.timestamp("us", tz="UTC"),
}


def main() -> None:
    folder, connection = Path(sys.argv[1]), sys.argv[2]
    asked = json.load(sys.stdin)
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project=asked["project"],
            registry=RegistryConfig(path=str(folder / "registry.db")),
            provider="local",
            online_store=RedisOnlineStoreConfig(connection_string=connection),
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
    views = [_view(folder, each) for each in asked["views"]]
    entities = {entity.name: entity for each in asked["views"] for entity in _entities(each)}
    store.apply([*entities.values(), *views])
    epoch = datetime(2000, 1, 1, tzinfo=timezone.utc)  # noqa: UP017  (Feast may have Python 3.10)
    store.materialize(epoch, epoch + timedelta(days=36500), feature_views=[view.name for view in views])


def _entities(view: dict[str, Any]) -> list[Any]:
    return [
        feast.Entity(name=name, join_keys=[name], value_type=ValueType[type_.upper()])
        for name, type_ in view["join_keys"]
    ]


def _view(folder: Path, view: dict[str, Any]) -> Any:
    columns = [*view["join_keys"], *view["features"], ["event_timestamp", "UnixTimestamp"]]
    rows = view["rows"]
    path = folder / f"{view['name']}.parquet"
    arrays = {name: pa.array([row[name] for row in rows], ARROW[type_]) for name, type_ in columns}
    pyarrow.parquet.write_table(pa.table(arrays), path)
    return feast.FeatureView(
        name=view["name"],
        entities=_entities(view),
        schema=[
            feast.Field(name=name, dtype=getattr(feast.types, type_))
            for name, type_ in [*view["join_keys"], *view["features"]]
        ],
        source=feast.FileSource(path=str(path), timestamp_field="event_timestamp"),
        ttl=timedelta(seconds=view["ttl"]),
    )


if __name__ == "__main__":
    main()
