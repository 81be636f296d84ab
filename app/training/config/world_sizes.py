"""Layouts that a run may have: one for each number of workers that its configuration and its model allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.training.config.parallel_dims import Device, ParallelDims
from app.training.config.train_config import ConfigError, TrainConfig
from app.training.config.validation import layout_errors, model_independent_errors
from app.training.optimizer import find_optimizer
from app.training.recipe import ParallelPlan


def layouts(config: TrainConfig, plan: ParallelPlan | None, device: Device) -> dict[int, ParallelDims]:
    """Layouts by number of workers, the largest first; a run of fixed size has one.

    Args:
        plan: where the model may be cut; None for a recipe without one.

    Raises:
        ConfigError: no number of workers is possible; a line for each reason that the largest is not.
    """
    return _possible(config, lambda layout: layout_errors(layout, plan, device, config.batch_size))


def check_early(config: TrainConfig) -> None:
    """Refuses a configuration for reasons that are known before there are data, a model and a device.

    Raises:
        ConfigError: as :func:`layouts`.
    """
    _possible(config, lambda layout: model_independent_errors(layout, "cuda", config.batch_size))


def largest(possible: Iterable[int], room: int) -> int | None:
    """The largest of some numbers of workers that there is room for."""
    return max((workers for workers in possible if workers <= room), default=None)


def _possible(config: TrainConfig, refused: Callable[[ParallelDims], Iterable[str]]) -> dict[int, ParallelDims]:
    optimizer = find_optimizer(config.optimizer)
    if config.strategy == "parameter_server" and (errors := list(optimizer.server_errors())):
        raise ConfigError("\n".join(errors))
    found: dict[int, ParallelDims] = {}
    reasons: list[str] = []
    largest_size = None
    for workers in range(config.max_workers, config.min_workers - 1, -1):
        try:
            layout = config.layout.resolve(workers, largest_size or workers)
        except ValueError as error:
            reasons.append(str(error))
            continue
        errors = [*refused(layout), *optimizer.layout_errors(layout)]
        reasons += errors
        if not errors:
            largest_size = largest_size or workers
            found[workers] = layout
    if not found:
        raise ConfigError("\n".join(dict.fromkeys(reasons)))
    return found
