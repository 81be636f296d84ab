"""Feast's side: its own rows, written and read by its own client. Runs under the Python that has Feast.

Standard input: a line with a JSON object, ``connection`` (Feast's connection string, not on the command line, which
everybody may read) and ``folder`` (for the registry and the Parquet file); then a line for each turn, a JSON list of
reader, entities, reads and seed. Standard output: a line with Feast's version once the rows are written, then one for
each turn. Ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
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

# Relative: under Feast's Python the package has another name.
from .workload import (
    FEATURES,
    JOIN_KEY,
    POPULATION,
    PROJECT,
    TTL_S,
    VIEW,
    Read,
    timed,
    values,
)

ASKED = [f"{VIEW}:{name}" for name in FEATURES]


async def main() -> None:
    """Write, then take turns until the input ends."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # Feast prints
        told = json.loads(sys.stdin.readline())
        store = _written(Path(told["folder"]), told["connection"])
        readers = {"response": _response(store), "values": _values(store)}
        await _check(readers["values"])
        print(json.dumps(feast.__version__), file=answers, flush=True)
        while line := sys.stdin.readline():
            reader, entities, reads, seed = json.loads(line)
            print(json.dumps(asdict(await timed(readers[reader], entities, reads, seed))), file=answers, flush=True)


def _written(folder: Path, connection: str) -> Any:
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project=PROJECT,
            # 0 keeps the registry in memory for good, which is the least work at a read.
            registry=RegistryConfig(path=str(folder / "registry.db"), cache_ttl_seconds=0),
            provider="local",
            online_store=RedisOnlineStoreConfig(connection_string=connection, key_ttl_seconds=TTL_S),
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )
    now = datetime.now(timezone.utc)  # noqa: UP017  (Feast may have Python 3.10)
    columns = dict(zip(FEATURES, zip(*map(values, range(POPULATION)))))  # noqa: B905
    table = pa.table({JOIN_KEY: range(POPULATION), "event_timestamp": [now] * POPULATION, **columns})
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(table, path)
    entity = feast.Entity(name=JOIN_KEY, join_keys=[JOIN_KEY], value_type=ValueType.INT64)
    view = feast.FeatureView(
        name=VIEW,
        entities=[entity],
        schema=[
            feast.Field(name=JOIN_KEY, dtype=feast.types.Int64),
            *(feast.Field(name=name, dtype=feast.types.Float64) for name in FEATURES),
        ],
        source=feast.FileSource(path=str(path), timestamp_field="event_timestamp"),
        ttl=timedelta(seconds=TTL_S),
    )
    store.apply([entity, view])
    store.materialize(now - timedelta(days=1), now + timedelta(minutes=1))
    return store


def _response(store: Any) -> Read:
    async def read(entities: Sequence[int]) -> object:
        return await store.get_online_features_async(ASKED, {JOIN_KEY: list(entities)})

    return read


def _values(store: Any) -> Read:
    response = _response(store)

    async def read(entities: Sequence[int]) -> object:
        found: Any = await response(entities)
        return found.to_dict()

    return read


async def _check(read: Read) -> None:
    found: Any = await read(range(POPULATION))
    if list(zip(*(found[name] for name in FEATURES))) != list(map(values, range(POPULATION))):  # noqa: B905
        raise RuntimeError("Feast reads other values than were written")


if __name__ == "__main__":
    asyncio.run(main())
