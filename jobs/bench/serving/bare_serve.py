"""Bare Ray Serve: an ingress that answers by itself, and one that asks a deployment by its handle.

Annotations are evaluated here: Serve sends the classes by value, and FastAPI would not find by name what they are.
"""

from typing import Any

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from ray import serve
from ray.serve.handle import DeploymentHandle

from jobs.bench.serving.bare import PATH, Reply, Request, reply
from jobs.bench.serving.model.dot import score

ONGOING = 256
"""As the gateway's; Serve's default of 5 would make 64 connections wait."""

alone = FastAPI()
asking = FastAPI()


@serve.deployment(max_ongoing_requests=ONGOING)
@serve.ingress(alone)
class Alone:
    """Answers by itself."""

    @alone.post(PATH)
    async def infer(self, model: str, request: Request) -> Reply:
        """One number a row."""
        return reply(model, score(request.rows()))


@serve.deployment(max_ongoing_requests=ONGOING)
class Scorer:
    """The model in a replica of its own."""

    async def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """One number a row."""
        return score(rows)


@serve.deployment(max_ongoing_requests=ONGOING)
@serve.ingress(asking)
class Asking:
    """Asks the model by its handle, once per request."""

    def __init__(self, scorer: DeploymentHandle[Any]) -> None:
        self._scorer = scorer

    @asking.post(PATH)
    async def infer(self, model: str, request: Request) -> Reply:
        """One number a row."""
        return reply(model, await self._scorer.score.remote(request.rows()))


APPLICATIONS: dict[str, Any] = {"bare-ingress": Alone.bind(), "bare-deployment": Asking.bind(Scorer.bind())}  # type: ignore[attr-defined]
"""By name, which is the route prefix too."""
