"""The decoder as MLflow serves it ("models from code"): texts in, how surprising each is out.

Besides its packages it needs only the file of the decoder, which travels with it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from safetensors.torch import load_file


class ByteLM(PythonModel):
    """A decoder and the number of positions that it was trained on."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the artifacts ``config`` (JSON) and ``weights`` (safetensors)."""
        # Not at the top: MLflow also runs this script when it logs the model, without the model's code on the path.
        from bytelm_decoder import Decoder, Size  # type: ignore[import-not-found]

        torch.set_num_threads(1)  # a replica is given one core
        config = json.loads(Path(context.artifacts["config"]).read_text())
        self._sequence: int = config["sequence"]
        self._decoder = Decoder(Size(**config["size"]))
        self._decoder.load_state_dict(load_file(context.artifacts["weights"]))
        self._decoder.eval()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """``bits_per_byte`` of each ``text``, read from a file's start; missing for an empty one."""
        with torch.inference_mode():
            bits = [self._bits(str(text).encode()) for text in model_input["text"]]
        return pd.DataFrame({"bits_per_byte": bits}, index=model_input.index)

    def _bits(self, text: bytes) -> float:
        """Mean over the bytes; the context begins anew with each ``sequence`` of them, as in training."""
        nats = 0.0
        whole = torch.tensor(list(b"\0" + text))  # a file follows a zero byte
        for first in range(0, len(text), self._sequence):
            window = whole[first : first + self._sequence + 1]
            logits = self._decoder(window[:-1].unsqueeze(0))[0]
            nats += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
        return nats / len(text) / math.log(2) if text else math.nan


mlflow.models.set_model(ByteLM())
