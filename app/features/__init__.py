"""Feature views: rows by event, the point-in-time join that looks them up as they were known, and the online store.

Declarations: ``view``, ``rolling``, ``aggregations``, ``dtypes``, ``entity``, ``catalog``, ``view_document``. Rows:
``feature_row``, ``view_rows``, ``resolution``, ``entity_codes``, ``replay_clock``. All of these are pure. In Redis:
``online``, ``registration``, ``checkpoint``, ``tracking``; ``feast`` reads Feast's rows. From Parquet by Ray:
``event_store``, ``materialization``, ``replay``, of a recipe's ``feature_source``. Callers: recipes, the gateway's
look-up, ``tidegate materialize``.

Offline: ``point_in_time.training_set`` joins. Into the store: ``materialize`` writes what is known at an instant, a
``Replayer`` goes on from there event by event. A request's way online: ``entities`` names them, ``OnlineStore.read``
fetches, ``resolve`` makes columns.
"""

from app.features.aggregations import Aggregation, CountWithin, DecayedMean, Last, MeanOfLast, ShareAbove
from app.features.catalog import Catalog
from app.features.checkpoint import FeatureCheckpoint
from app.features.dtypes import Dtype, Value
from app.features.entity import Entity, EntityError, entities
from app.features.event_store import EventStore, EventStoreError
from app.features.feature_row import Row
from app.features.feature_source import FeatureSource
from app.features.materialization import Materialized, materialize
from app.features.online import FeatureStoreError, OnlineStore, Written
from app.features.point_in_time import training_set
from app.features.registration import Registration, RegistrationError
from app.features.replay import Replayer
from app.features.replay_clock import ReplayClock
from app.features.resolution import FeatureRefusedError, Resolution, ViewReport, resolve
from app.features.rolling import EntityState, EventTable, FeatureRows, RollingView, batch_rows, batch_states, update
from app.features.view import REJECT, Feature, FeatureView, MissingPolicy
from app.features.view_document import from_document, to_document
from app.features.view_rows import OnlineRow, RowStatus, ViewRequest, ViewRows

__all__ = [
    "REJECT",
    "Aggregation",
    "Catalog",
    "CountWithin",
    "DecayedMean",
    "Dtype",
    "Entity",
    "EntityError",
    "EntityState",
    "EventStore",
    "EventStoreError",
    "EventTable",
    "Feature",
    "FeatureCheckpoint",
    "FeatureRefusedError",
    "FeatureRows",
    "FeatureSource",
    "FeatureStoreError",
    "FeatureView",
    "Last",
    "Materialized",
    "MeanOfLast",
    "MissingPolicy",
    "OnlineRow",
    "OnlineStore",
    "Registration",
    "RegistrationError",
    "ReplayClock",
    "Replayer",
    "Resolution",
    "RollingView",
    "Row",
    "RowStatus",
    "ShareAbove",
    "Value",
    "ViewReport",
    "ViewRequest",
    "ViewRows",
    "Written",
    "batch_rows",
    "batch_states",
    "entities",
    "from_document",
    "materialize",
    "resolve",
    "to_document",
    "training_set",
    "update",
]
