"""MLServer's side: a custom runtime, run in MLServer's own environment."""

from __future__ import annotations

from dot import score  # type: ignore[import-not-found]
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]


class Dot(MLModel):  # type: ignore[misc]
    """The dot product."""

    async def load(self) -> bool:
        """Ready at once: there is no artifact to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One number a row."""
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        output = NumpyCodec.encode_output("y", score(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
