"""Feature views: rows by event, the point-in-time join that looks them up as they were known, and the online store.

A request's way online: ``entities`` names them, ``OnlineStore.read`` fetches, ``resolve`` makes columns.
"""

from app.features.aggregations import Aggregation, CountWithin, DecayedMean, Last, MeanOfLast, ShareAbove
from app.features.catalog import Catalog
from app.features.dtypes import Dtype, Value
from app.features.entity import Entity, EntityError, entities
from app.features.online import FeatureStoreError, Found, OnlineStore, Status, ViewRequest, ViewRows, Written
from app.features.point_in_time import Matches, latest_rows
from app.features.resolution import FeatureRefusedError, Resolution, ViewReport, resolve
from app.features.rolling import EventLog, FeatureRows, RollingView, State, batch_rows, update
from app.features.row import Row
from app.features.view import REFUSE, Feature, FeatureView, Refusal

__all__ = [
    "REFUSE",
    "Aggregation",
    "Catalog",
    "CountWithin",
    "DecayedMean",
    "Dtype",
    "Entity",
    "EntityError",
    "EventLog",
    "Feature",
    "FeatureRefusedError",
    "FeatureRows",
    "FeatureStoreError",
    "FeatureView",
    "Found",
    "Last",
    "Matches",
    "MeanOfLast",
    "OnlineStore",
    "Refusal",
    "Resolution",
    "RollingView",
    "Row",
    "ShareAbove",
    "State",
    "Status",
    "Value",
    "ViewReport",
    "ViewRequest",
    "ViewRows",
    "Written",
    "batch_rows",
    "entities",
    "latest_rows",
    "resolve",
    "update",
]
