"""Events as Parquet: a folder a source, ordered by instant, at any address that fsspec opens and all nodes reach.

``complete.json``, written last, holds digest, rows and newest instant: a source without it was cut off while it was
written and is written again.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from app.errors import InvalidArgumentError
from app.features.rolling import INSTANT

ROWS_PER_FILE = 1_000_000
_COMPLETE = "complete.json"


class EventStoreError(InvalidArgumentError, ValueError):
    """The files at an address are not those that were asked for; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Length, end and digest of a complete source.

    Attributes:
        digest: SHA-256 over its files, hex.
        newest: its newest event's instant, whole seconds; 0 where there are no events.
    """

    rows: int
    newest: int
    digest: str


class EventStore:
    """The events of one version of a recipe's data. Cheap to make, and to pickle."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @classmethod
    def of(cls, storage: str, recipe: str, version: str) -> Self:
        """The store of a recipe's events, below the storage in the settings."""
        return cls(posixpath.join(storage, recipe, version))

    def info(self, source: str) -> SourceInfo | None:
        """Returns the source's info; None where it is not complete."""
        files, path = url_to_fs(self._path(source, _COMPLETE))
        return SourceInfo(**json.loads(files.cat_file(path))) if files.exists(path) else None

    def write(self, source: str, events: pd.DataFrame) -> SourceInfo:
        """Stores a source's events in the order of their instants (equal ones in their own).

        Raises:
            EventStoreError: they have no ``instant``.
        """
        if INSTANT not in events or events[INSTANT].dtype != np.int64:
            raise EventStoreError(f"source {source}: events take a column {INSTANT} (int64, whole seconds)")
        events = events.sort_values(INSTANT, kind="stable", ignore_index=True)
        files, folder = url_to_fs(self._path(source))
        files.makedirs(folder, exist_ok=True)
        digest = hashlib.sha256()
        for number, start in enumerate(range(0, max(len(events), 1), ROWS_PER_FILE)):
            table = pa.Table.from_pandas(events.iloc[start : start + ROWS_PER_FILE], preserve_index=False)
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink)
            data = sink.getvalue().to_pybytes()
            files.pipe_file(f"{folder}/{_file(number)}", data)
            digest.update(data)
        info = SourceInfo(len(events), int(events[INSTANT].max()) if len(events) else 0, digest.hexdigest())
        files.pipe_file(f"{folder}/{_COMPLETE}", json.dumps(asdict(info)).encode())
        return info

    def read(self, source: str, after: int | None = None, until: int | None = None) -> pd.DataFrame:
        """A source's events with ``after`` < instant <= ``until``, in order.

        Raises:
            EventStoreError: the source is not complete.
        """
        return pd.concat(self._parts(source, after, until), ignore_index=True)

    def _parts(self, source: str, after: int | None, until: int | None) -> Iterator[pd.DataFrame]:
        info = self.info(source)
        if info is None:
            raise EventStoreError(f"no events of {source} at {self.url}; tidegate materialize writes them")
        bounds = [(INSTANT, ">", after)] * (after is not None) + [(INSTANT, "<=", until)] * (until is not None)
        files, folder = url_to_fs(self._path(source))
        for number in range(max(-(-info.rows // ROWS_PER_FILE), 1)):
            table = pq.read_table(f"{folder}/{_file(number)}", filesystem=files, filters=bounds or None)
            yield table.to_pandas()

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.url, *parts)


def _file(number: int) -> str:
    return f"part-{number:05d}.parquet"
