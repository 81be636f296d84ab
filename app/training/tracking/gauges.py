"""A run's figures as Ray metrics: on every node's metrics endpoint, for Prometheus and the dashboard's plots."""

from __future__ import annotations

from collections.abc import Mapping

from ray.util.metrics import Gauge

_MEANINGS = {
    "tidegate_train_step": "Steps made",
    "tidegate_train_loss": "Training loss over the global batch",
    "tidegate_train_learning_rate": "Learning rate",
    "tidegate_train_gradient_norm": "Global gradient norm before clipping",
    "tidegate_train_tokens_per_second": "Tokens (rows, where rows are not sequences) a second over all workers",
    "tidegate_train_flops_utilisation": "Model FLOPs a second over the devices' peak, 0 to 1",
    "tidegate_train_checkpoint_stall_seconds": "Seconds that training waited for the newest checkpoint",
    "tidegate_train_checkpoint_write_seconds": "Seconds until the newest checkpoint was complete",
    "tidegate_train_workers": "Workers of the present group",
    "tidegate_train_restarts": "Times that the run went on after a loss",
}


class Gauges:
    """The gauges of one run, told apart by the model's name."""

    def __init__(self, model: str) -> None:
        self._tags = {"model": model}
        self._values: dict[str, float] = {}
        self._gauges = {
            name.removeprefix("tidegate_train_"): Gauge(name, description=meaning, tag_keys=("model",))
            for name, meaning in _MEANINGS.items()
        }

    def set(self, values: Mapping[str, float]) -> None:
        """Values by the part of the name after ``tidegate_train_``.

        All that were set before are set again: Ray forgets a gauge that is not set for some seconds, and a run's
        number of workers is reported once.
        """
        self._values.update(values)
        for name, value in self._values.items():
            self._gauges[name].set(value, tags=self._tags)
