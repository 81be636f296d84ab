"""The call that a front makes to the data plane, and its reply: free of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.gateway.inference.feature_lookup import FeatureReport
from app.gateway.inference.inputs import Arrays
from app.gateway.request_attributes import RequestAttributes
from app.gateway.trace_context import Identity
from app.serving.batch import Outputs
from app.web.keys import Caller

NO_ATTRIBUTES = RequestAttributes()


@dataclass(frozen=True, slots=True)
class InferCall:
    """One inference request.

    Attributes:
        inputs: arrays by input name; text as dtype object.
        caller: the sender.
        identity: its request id and trace.
        pinned: a deployed version that must answer, with weight or without; no other one will.
        attributes: what came beside the message. Without a sticky key in it the entity of the first row is the key,
            else a fresh one.
        outputs: the outputs wanted; empty for all.
        parameters: handed to the model; accepted are those of its signature.
    """

    model: str
    inputs: Arrays
    caller: Caller
    identity: Identity
    pinned: str | None = None
    attributes: RequestAttributes = NO_ATTRIBUTES
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferReply:
    """The reply to one call.

    Attributes:
        version: who gave it; failed: the versions that failed before.
        cached: whether it was given before, to the same inputs.
        features: what the feature store had for it; None for a model without features.
    """

    version: str
    outputs: Outputs
    failed: tuple[str, ...]
    cached: bool
    features: FeatureReport | None
