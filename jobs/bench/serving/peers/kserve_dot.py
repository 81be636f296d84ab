"""KServe's side: a custom model and its server, run in KServe's own environment. Argument: the HTTP port."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import uvicorn
from dot import score  # type: ignore[import-not-found]
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Dot(Model):  # type: ignore[misc]
    """The dot product."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    async def predict(self, payload: InferRequest, *args: Any, **kwargs: Any) -> InferResponse:
        """One number a row."""
        answer = score(payload.inputs[0].as_numpy())
        output = InferOutput(name="y", shape=list(answer.shape), datatype="FP64", data=answer.tolist())
        # KServe answers 500 where the request has no id and the reply takes it over.
        response_id = payload.id or str(uuid.uuid4())
        return InferResponse(response_id=response_id, model_name=self.name, infer_outputs=[output])


class LoopbackConfig(uvicorn.Config):
    """KServe has no option for the address and logs each request twice; as bare as it can be made, on 127.0.0.1."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **{**options, "host": "127.0.0.1", "access_log": False})


if __name__ == "__main__":
    uvicorn.Config = LoopbackConfig  # type: ignore[assignment,misc]
    server = ModelServer(
        http_port=int(sys.argv[1]), workers=1, enable_grpc=False, enable_docs_url=False, enable_latency_logging=False
    )
    server.start([Dot("bench")])
