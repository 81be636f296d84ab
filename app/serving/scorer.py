"""A loaded version, ready to score: wherever it lives, in a replica of its own or in the gateway's."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from mlflow.models import ModelSignature

from app.registry import LoadedModel
from app.serving.batch import Batch, ModelFailure, Outputs, split
from app.serving.model_tensors import Tensors, from_model, to_model

log = logging.getLogger(__name__)

MESSAGE_CHARACTERS = 500


class Scorer:
    """Scores with one version. Blocking; one thread at a time.

    Attributes:
        warmed_s: seconds that scoring the input example took; None for a version that was logged without one.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.spec = loaded.spec
        self.warmed_s: float | None = None
        self._pyfunc = loaded.pyfunc
        self._example = loaded.example
        if self._example is not None:
            started = time.perf_counter()
            self.try_example()
            self.warmed_s = time.perf_counter() - started
        # The gateway has checked and converted every request by this same signature; MLflow's own check would cost
        # more than a small model (3.4 of 5.9 CPU-ms for the 89 columns of flights). What it does with parameters,
        # defaults above all, stays.
        params = self._pyfunc.metadata.get_params_schema()  # type: ignore[no-untyped-call]
        self._pyfunc.metadata.signature = None if params is None else ModelSignature(params=params)

    def try_example(self) -> None:
        """Scores the input example, where there is one; raises what the model raises."""
        if self._example is not None:
            from_model(self.spec, self._pyfunc.predict(self._example))

    def score(self, batch: Batch) -> tuple[Outputs | None, tuple[Outputs | ModelFailure, ...]]:
        """Outputs of all requests one after the other, or, where they cannot be scored together, one answer each."""
        try:
            outputs = self._predict(batch.inputs, batch.parameters)
        except Exception as error:  # the model's code may raise anything
            if len(batch.rows) == 1:
                return None, (_failure(error),)
        else:
            if len(batch.rows) == 1 or _row_by_row(outputs, sum(batch.rows)):
                return outputs, ()
        return None, tuple([self._alone(inputs, batch.parameters) for inputs in split(batch)])

    def _alone(self, inputs: Tensors, parameters: Mapping[str, Any]) -> Outputs | ModelFailure:
        try:
            return self._predict(inputs, parameters)
        except Exception as error:
            return _failure(error)

    def _predict(self, inputs: Tensors, parameters: Mapping[str, Any]) -> Outputs:
        params = dict(parameters) if parameters else None
        return from_model(self.spec, self._pyfunc.predict(to_model(self.spec, inputs), params=params))


def _row_by_row(outputs: Outputs, rows: int) -> bool:
    return all(array.ndim and len(array) == rows for array in outputs.values())


def _failure(error: Exception) -> ModelFailure:
    log.warning("the model raised", exc_info=error)
    return ModelFailure(type(error).__name__, str(error)[:MESSAGE_CHARACTERS])
