"""A server written with FastAPI alone: the request as a pydantic model, the model called, a pydantic model back.

Served by uvicorn bare, and inside the deployments of bare Ray Serve.
"""

from __future__ import annotations

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import BaseModel

from jobs.bench.serving.model.dot import score

PATH = "/v2/models/{model}/infer"


class Tensor(BaseModel):
    """A V2 tensor of floating-point numbers."""

    name: str
    shape: list[int]
    datatype: str = "FP64"
    data: list[float]


class Request(BaseModel):
    """A V2 request."""

    inputs: list[Tensor]

    def rows(self) -> NDArray[np.float64]:
        """The first tensor."""
        return np.array(self.inputs[0].data).reshape(self.inputs[0].shape)


class Reply(BaseModel):
    """A V2 reply."""

    model_name: str
    outputs: list[Tensor]


def reply(model: str, numbers: NDArray[np.float64]) -> Reply:
    """The reply with these numbers."""
    return Reply(model_name=model, outputs=[Tensor(name="y", shape=list(numbers.shape), data=numbers.tolist())])


api = FastAPI()


@api.post(PATH)
async def infer(model: str, request: Request) -> Reply:
    """One number a row."""
    return reply(model, score(request.rows()))
