"""The gateway's HTTP face over a version that lives in the test: no cluster, no Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI

from app.clock import now_us
from app.events import EventWriter, Label
from app.gateway.access.admission import Admission
from app.gateway.access.rate_limit import RateLimiter
from app.gateway.feedback.ingestion import Feedback
from app.gateway.front import Front
from app.gateway.fronts import FRONTS
from app.gateway.inference.dataplane import DataPlane
from app.gateway.inference.feature_lookup import FeatureLookup
from app.gateway.inference.request_record import RequestRecord
from app.gateway.inference.version_backends import VersionBackend, VersionBackends
from app.gateway.ingress import build_api
from app.gateway.prediction_cache import PredictionCache
from app.gateway.replica import GatewayReplica
from app.gateway.request_attributes import ATTRIBUTES, AttributeTable
from app.routing.route_store import RouteStore
from app.routing.route_table import RouteTable
from app.settings import Settings
from app.web.keys import Authenticator, Scope

ADMIN_KEY_HASH = "0" * 64


def api_over(
    settings: Settings,
    table: RouteTable,
    placement: Callable[[str], VersionBackend],
    report: Callable[[RequestRecord], None] = lambda served: None,
    cache: PredictionCache | None = None,
    features: FeatureLookup | None = None,
    others: Iterable[RouteTable] = (),
    store: RouteStore | None = None,
    admin_key_hash: str = ADMIN_KEY_HASH,
    attributes: AttributeTable[Any] = ATTRIBUTES,
    fronts: Sequence[Front] = FRONTS,
) -> FastAPI:
    """The API of a replica that serves one model (and ``others``), without a key; its parts are not started."""
    plane = DataPlane(
        settings,
        {found.model: found for found in (table, *others)},
        VersionBackends(settings, "g1", dedicated=placement),
        lambda: True,
        cast(FeatureLookup, features),
        cast(PredictionCache, cache),
        report,
    )
    authenticator = Authenticator({}, lambda: True, admin_key_hash, frozenset({Scope.PREDICT}))
    parts: Any = SimpleNamespace(
        settings=settings,
        attributes=attributes,
        plane=plane,
        admission=Admission(authenticator, cast(RateLimiter, None)),
        ready=lambda: True,
        feedback=Feedback(cast(EventWriter[Label], None), settings, now_us),
        store=store,
        start=_nothing,
        stop=_nothing,
    )
    return build_api(cast(GatewayReplica, parts), fronts)


async def _nothing() -> None:
    """Stands in for a start and a stop."""
