"""A gateway replica as far as releases go, over two versions that live in the test. No cluster, no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any, cast

import numpy as np

from app.errors import TidegateError
from app.gateway.inference.call import InferCall, InferReply
from app.gateway.inference.dataplane import DataPlane
from app.gateway.inference.feature_lookup import Completed, FeatureLookup, FeatureReport
from app.gateway.inference.inputs import Arrays
from app.gateway.inference.request_record import RequestRecord
from app.gateway.inference.version_backends import VersionBackends
from app.gateway.prediction_cache import PredictionCache
from app.gateway.request_attributes import RequestAttributes
from app.gateway.shadow import Mirror, Observer
from app.gateway.trace_context import identify
from app.model_spec import FieldSpec, ModelSpec
from app.monitoring.samples import LossBuffer
from app.monitoring.sums import Sums
from app.routing.release_context import ReleaseContext
from app.routing.route_table import Route, RouteTable
from app.serving.batch import Batch, BatchReply, ModelFailure, VersionMetadata
from app.settings import Settings
from app.web.keys.authenticator import ANONYMOUS

MODEL = "m"
SPEC = ModelSpec(MODEL, "1", (FieldSpec("x", "float64"),), (FieldSpec("y", "float64"),), columns=True)
WITH_FEATURE = replace(
    SPEC,
    inputs=(*SPEC.inputs, FieldSpec("seen", "float64", required=False)),
    features=("seen",),
    feature_views=({"name": "seen"},),
)
"""``FakeFeatures`` fills it in."""


class Version:
    """One version: gives back ``x`` times ``factor``."""

    def __init__(self, spec: ModelSpec = SPEC, factor: float = 1.0, seconds: float = 0.01) -> None:
        self.spec, self.factor, self.seconds = spec, factor, seconds
        self.asked: list[Mapping[str, Any]] = []
        self.raises = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def metadata(self) -> VersionMetadata:
        return VersionMetadata(self.spec, batch_rows=1, cache_ttl_s=0)

    async def send(self, batch: Batch) -> BatchReply:
        self.asked.append(batch.inputs)
        await self.answers.wait()
        if self.raises:
            return BatchReply(None, (ModelFailure("ValueError", "no"),), "r", self.seconds)
        return BatchReply({"y": batch.inputs["x"] * self.factor}, (), "r", self.seconds)

    def calls(self) -> int:
        return 8

    def busy_s(self) -> float:
        return 0.0

    async def close(self) -> None:
        pass


class FakeFeatures:
    """A look-up whose rows are newer each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Completed:
        self.asked += 1
        seen = np.array([float(self.asked)])
        return Completed({**inputs, "seen": seen}, FeatureReport({}, (), degraded=False))


class Replica:
    """The parts, put together as ``app.gateway.replica`` does."""

    def __init__(
        self,
        release_context: ReleaseContext,
        champion: Version,
        challenger: Version,
        weight: float = 0.0,
        **settings: Mapping[str, Any],
    ) -> None:
        """``weight`` is the challenger's; ``settings`` by group."""
        found = Settings()
        found = found.model_copy(
            update={name: getattr(found, name).model_copy(update=values) for name, values in settings.items()}
        )
        routes = (Route("1", "m-v1", 1 - weight), Route("2", "m-v2", weight))
        self.tables = {MODEL: RouteTable(MODEL, 1, "salt", routes=routes, release_context=release_context)}
        self.losses = LossBuffer(600)
        self.mirrored: list[RequestRecord] = []
        self.features = FakeFeatures()
        lookup = cast(FeatureLookup, self.features)
        versions = VersionBackends(found, "g1", dedicated={"m-v1": champion, "m-v2": challenger}.__getitem__)
        self.mirror = Mirror(
            found, self.tables, versions, lookup, self.losses, self.mirrored.append, draw=lambda: next(self.draws)
        )
        self.draws: Iterator[float] = repeat(0.0)
        self.plane = DataPlane(
            found,
            self.tables,
            versions,
            lambda: True,
            lookup,
            cast(PredictionCache, None),
            Observer(self.losses, self.mirror).observe,
        )

    async def infer(
        self, x: float = 1.0, key: str | None = None, pinned: str | None = None, inputs: Arrays | None = None
    ) -> InferReply | TidegateError:
        """One request; ``inputs`` instead of ``x``."""
        given = inputs or {"x": np.array([x])}
        try:
            return await self.plane.infer(
                InferCall(
                    MODEL, given, ANONYMOUS, identify(), pinned=pinned, attributes=RequestAttributes(sticky_key=key)
                )
            )
        except TidegateError as error:
            return error

    def sums(self) -> dict[str, dict[str, Sums]]:
        """All samples so far, whatever their second."""
        found: dict[str, dict[str, Sums]] = {}
        for due in self.losses.due(everything=True):
            for metric, arms in due.sums.items():
                for arm, sums in arms.items():
                    held = found.setdefault(metric, {})
                    held[arm] = held.get(arm, Sums()).plus(sums)
        return found

    async def stop(self) -> None:
        await self.mirror.stop()
        await self.plane.close()
