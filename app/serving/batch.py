"""The calls between a gateway replica and a version: the rows of several requests in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model_spec import ModelSpec
from app.serving.model_tensors import Tensors
from app.settings import ServingSettings

DEPLOYMENT = "Version"
"""The deployment in every version's application."""

Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """The model's own code raised. A value, not an exception: what crosses the handle then does not depend on how
    Serve carries exceptions, nor on whether the caller can import the exception's class."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that are scored together.

    Attributes:
        inputs: arrays of all requests, one after the other along the first dimension.
        rows: how many rows each request has; one number alone means that ``inputs`` are one request, whatever its
            shape.
        parameters: the requests' parameters, equal in all of them.
        caller: which gateway replica asks.
        ongoing: requests of this version that the caller has waiting or under way, these included.
    """

    inputs: Tensors
    rows: tuple[int, ...] = (1,)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    caller: str = ""
    ongoing: int = 1


@dataclass(frozen=True, slots=True)
class BatchReply:
    """Answers to a batch.

    Attributes:
        whole: outputs of all requests, one after the other along the first dimension; None where each stands alone.
        each: one answer a request, where they could not be scored together.
        replica: who answered.
        seconds: time inside the model.
    """

    whole: Outputs | None
    each: tuple[Outputs | ModelFailure, ...]
    replica: str
    seconds: float

    def answers(self, rows: tuple[int, ...]) -> list[Outputs | ModelFailure]:
        """One answer a request."""
        if self.whole is None:
            return list(self.each)
        if len(rows) == 1:
            return [self.whole]
        ends = np.cumsum(rows).tolist()
        return [
            {name: array[end - count : end] for name, array in self.whole.items()}
            for count, end in zip(rows, ends, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class VersionMetadata:
    """A version's description of itself, for the gateway replicas.

    Attributes:
        spec: what it takes and gives.
        batch_rows: most rows of different requests in one call; 1 where requests are not to be mixed.
        cache_ttl_s: how long its answers may be given again for the same inputs; 0 for never.
        max_waiting: requests that may wait for it, or be under way, in one gateway replica.
    """

    spec: ModelSpec
    batch_rows: int
    cache_ttl_s: float
    max_waiting: int = 256


def metadata_of(spec: ModelSpec, settings: ServingSettings) -> VersionMetadata:
    """The metadata of a version that is served with these settings."""
    return VersionMetadata(spec, settings.batch_rows, settings.cache_ttl_s, settings.max_queued_requests)


def rows_of(spec: ModelSpec, inputs: Tensors) -> int:
    """The number of rows of a request: of the first input, where its first dimension may vary, else one."""
    first = spec.inputs[0] if spec.inputs else None
    array = inputs.get(first.name) if first is not None else None
    if first is None or array is None or not array.ndim or not (spec.columns or first.shape[:1] == (-1,)):
        return 1
    return len(array)


def split(batch: Batch) -> list[Tensors]:
    """The requests of a batch, each by itself."""
    if len(batch.rows) == 1:
        return [batch.inputs]
    ends = np.cumsum(batch.rows).tolist()
    return [
        {name: array[end - count : end] for name, array in batch.inputs.items()}
        for count, end in zip(batch.rows, ends, strict=True)
    ]
