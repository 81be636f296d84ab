"""The record of one request: the data plane writes it, events and metrics are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.gateway.inference.call import InferCall
from app.gateway.inference.feature_lookup import FeatureReport
from app.gateway.inference.inputs import Arrays
from app.model_spec import ModelSpec
from app.routing.release_context import ReleaseContext
from app.routing.route_table import Placement
from app.serving.batch import Outputs


@dataclass(slots=True)
class RequestRecord:
    """One request whose model has a route table.

    Attributes:
        sticky: the key that the split went by.
        version, placement, weight: the version that answered, where it runs, its share; None, None and 0 without
            an answer.
        status: HTTP status of the reply.
        rows: rows of the request.
        total_s: time in the data plane; version_s: of that inside the model (of the call that carried this request).
        outputs: all that the version gave; None where there was no answer.
        failed: versions that gave no answer, one an attempt.
        release_context: the release under way when the version was picked.
        picked: the version that the split picked, whoever answered in the end; None for a pinned request.
        spec, given: what the version that was asked last takes, and what it was given, features included.
    """

    call: InferCall
    sticky: str
    version: str | None = None
    placement: Placement | None = None
    weight: float = 0.0
    status: int = 500
    rows: int = 0
    total_s: float = 0.0
    version_s: float = 0.0
    cached: bool = False
    outputs: Outputs | None = None
    failed: list[str] = field(default_factory=list)
    features: FeatureReport | None = None
    release_context: ReleaseContext | None = None
    picked: str | None = None
    spec: ModelSpec | None = None
    given: Arrays | None = None
