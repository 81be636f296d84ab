"""The gateway's HTTP face over versions that live in the test and give back what they took. No cluster."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI

from app.model_spec import FieldSpec, ModelSpec, ParameterSpec
from app.routing.route_store import RouteStore
from app.routing.route_table import Route, RouteTable
from app.serving.batch import Batch, BatchReply, VersionMetadata
from app.settings import Settings
from tests.gateway.support import ADMIN_KEY_HASH, api_over

_COLUMNS = (
    FieldSpec("x", "float64"),
    FieldSpec("n", "int64", required=False),
    FieldSpec("who", "str", required=False),
)
_TENSORS = tuple(
    FieldSpec(name, dtype, (-1,), required=False)
    for name, dtype in (("f", "float32"), ("i", "int8"), ("u", "uint64"), ("b", "bool"), ("s", "str"), ("r", "bytes"))
)
TABLE = ModelSpec("table", "1", _COLUMNS, _COLUMNS, True, parameters=(ParameterSpec("scale", "float64", False),))
TENSORS = ModelSpec("tensors", "1", _TENSORS, _TENSORS, columns=False)
_SPECS = {f"{spec.model}-v1": spec for spec in (TABLE, TENSORS)}


class Echo:
    """One version."""

    def __init__(self, app: str) -> None:
        self._spec = _SPECS[app]

    async def metadata(self) -> VersionMetadata:
        return VersionMetadata(self._spec, batch_rows=64, cache_ttl_s=0)

    async def send(self, batch: Batch) -> BatchReply:
        return BatchReply(dict(batch.inputs), (), "echo", 0.0)

    def calls(self) -> int:
        return 1

    def busy_s(self) -> float:
        return 0.0

    async def close(self) -> None:
        pass


class _NoTables:
    async def read(self, model: str) -> None:
        return None


def echo_api(admin_key_hash: str = ADMIN_KEY_HASH, **gateway: Any) -> FastAPI:
    """The models ``table`` and ``tensors``, each with one version; settings of the group gateway as given."""
    settings = Settings()
    settings = settings.model_copy(update={"gateway": settings.gateway.model_copy(update=gateway)})
    first, *others = (
        RouteTable(spec.model, 1, "salt", routes=(Route("1", app, 1.0),)) for app, spec in _SPECS.items()
    )
    store = cast(RouteStore, _NoTables())
    return api_over(settings, first, Echo, others=others, store=store, admin_key_hash=admin_key_hash)
