"""Reasons that forbid a layout. Pure: layout, model's plan, device and batch size decide."""

from __future__ import annotations

from collections.abc import Iterator

from app.training.config.parallel_dims import SPLITS_BACKWARD, Device, ParallelDims
from app.training.config.schedule import BatchPlan
from app.training.config.train_config import ConfigError, TrainConfig, parse_steps
from app.training.recipe import ParallelPlan


def check_layout(layout: ParallelDims, plan: ParallelPlan | None, device: Device, batch_size: int) -> None:
    """Refuses a layout that is not possible.

    Args:
        plan: where the model may be cut; None for a recipe without one, which gets data parallelism only.
        batch_size: rows per step over all ranks.

    Raises:
        ConfigError: a line per refused field: its value, the reason, and what to use instead.
    """
    found = tuple(layout_errors(layout, plan, device, batch_size))
    if found:
        raise ConfigError("\n".join(found))


def layout_errors(layout: ParallelDims, plan: ParallelPlan | None, device: Device, batch_size: int) -> Iterator[str]:
    """Yields a sentence for each reason against a layout: field, value, what would be accepted."""
    yield from model_independent_errors(layout, device, batch_size)
    if plan is None:
        yield from _without_plan(layout)
    else:
        yield from _model(layout, plan, device)


def model_independent_errors(layout: ParallelDims, device: Device, batch_size: int) -> Iterator[str]:
    """Yields the reasons that are known before there is a model."""
    yield from _batch(layout, batch_size)
    yield from _pipeline(layout)
    yield from _data(layout)
    yield from _switches(layout, device)
    if layout.ep != 1:
        yield from _experts(layout)


def batch_plan(config: TrainConfig, rows: int) -> BatchPlan:
    """Returns the plan of a run over ``rows`` training rows.

    Raises:
        ConfigError: fewer rows than a step takes, or fewer steps than are to be profiled.
    """
    if rows < config.batch_size:
        raise ConfigError(
            f"batch_size = {config.batch_size}: accepted is at most {rows}, the number of training rows"
        )
    plan = BatchPlan(rows, config.batch_size, config.epochs, config.seed)
    if config.profile and parse_steps(config.profile)[1] > plan.steps:
        raise ConfigError(f"profile = {config.profile!r}: accepted is up to {plan.steps}, the number of steps")
    return plan


def _batch(layout: ParallelDims, batch_size: int) -> Iterator[str]:
    quantum = layout.rows_quantum
    if batch_size < 1 or batch_size % quantum:
        near = max(batch_size - batch_size % quantum, quantum)
        yield (
            f"batch_size = {batch_size}: {layout.dp} data-parallel ranks × accumulation "
            f"{layout.accumulation} × {layout.microbatches} microbatches need a multiple of {quantum}, such as {near}"
        )


def _pipeline(layout: ParallelDims) -> Iterator[str]:
    pp, schedule, microbatches = layout.pp, layout.schedule, layout.microbatches
    if pp == 1:
        if schedule is not None:
            yield f"schedule = {schedule!r}: there is no pipeline with pp = 1; leave schedule out or set pp above 1"
        if microbatches > 1:
            yield f"microbatches = {microbatches}: there is no pipeline with pp = 1; use accumulation instead"
        return
    if schedule is None:
        yield f"schedule is missing: pp = {pp} needs one, such as 1F1B"
        return
    # The other schedules run with fewer microbatches than stages, at a loss of time only.
    if schedule in ("1F1B", "DualPipeV") and microbatches < layout.stages:
        yield (
            f"microbatches = {microbatches}: {schedule} with {layout.stages} stages needs at least {layout.stages}; "
            "use more, or the schedule GPipe"
        )
    rounds = max(1, microbatches // pp)
    if schedule.startswith("Interleaved") and microbatches % rounds:
        yield (
            f"microbatches = {microbatches}: {schedule} shares them over {rounds} rounds of pp = {pp} or more each; "
            f"use a multiple of {pp}, such as {microbatches - microbatches % pp}"
        )


def _data(layout: ParallelDims) -> Iterator[str]:
    kind = layout.data_parallel
    if kind != "auto" and layout.dp * layout.cp == 1:
        yield f"data_parallel = {kind!r}: no ranks share gradients with dp = cp = 1; leave it at auto"
    if kind != "ddp":
        return
    if layout.dp_shard > 1:
        yield f"data_parallel = 'ddp': DDP does not shard, but dp_shard = {layout.dp_shard}; use fsdp2"
    if layout.tp > 1:
        yield (
            f"data_parallel = 'ddp': torch's DDP cannot broadcast the sharded weights of tp = {layout.tp} "
            "(no sharding strategy for c10d.broadcast_); use fsdp2, or dp_shard above 1 (HSDP)"
        )
    if layout.stages_per_rank > 1:
        yield (
            f"data_parallel = 'ddp': {layout.schedule} puts two stages on a rank, and DDP fails after the trial pass "
            "of torch's pipeline ('rebuilt parameter indices size is not same'); use fsdp2, or the schedule 1F1B"
        )


def _switches(layout: ParallelDims, device: Device) -> Iterator[str]:
    if layout.tp == 1:
        for name, on in (("sequence_parallel", layout.sequence_parallel), ("loss_parallel", layout.loss_parallel)):
            if on:
                yield f"{name} = True: it shards over tp, which is 1; set tp to 2 or more or leave it out"
    if layout.cp == 1 and layout.context != "auto":
        yield f"context = {layout.context!r}: no ranks share a sequence with cp = 1; leave it at auto"
    if layout.cp > 1 and layout.context == "ring" and device == "cpu":
        yield (
            "context = 'ring': torch's ring attention has no CPU rule (scaled_dot_product_flash_attention); "
            "use ulysses"
        )
    if layout.compile and layout.tp > 1 and device == "cpu":
        yield (
            f"compile = True: torch.compile with tp = {layout.tp} fails on the CPU ('Tensor' object "
            "has no attribute '_local_tensor'); leave compile out, or use dp_shard instead of tp"
        )
    if layout.compile and layout.schedule in SPLITS_BACKWARD:
        yield (
            f"compile = True: {layout.schedule} computes the gradients of inputs and weights apart, which torch does "
            "not support of compiled blocks; leave compile out, or use Interleaved1F1B"
        )


def _experts(layout: ParallelDims) -> Iterator[str]:
    ep = layout.ep
    ranks = layout.dp_shard * layout.cp
    if ranks % ep:
        yield (
            f"ep = {ep}: the ranks of dp_shard·cp = {ranks} share the experts; use a divisor of {ranks}, "
            f"or a dp_shard that is a multiple of {ep}"
        )
    if layout.tp > 1:
        yield (
            f"ep = {ep}: an expert is whole on its rank, and all tp = {layout.tp} ranks would do its work; "
            "use tp = 1 and a larger ep"
        )
    if layout.data_parallel == "ddp":
        yield (
            f"data_parallel = 'ddp': DDP averages all gradients over the same ranks, but with ep = {ep} fewer ranks "
            "hold the same experts; use fsdp2"
        )


def _without_plan(layout: ParallelDims) -> Iterator[str]:
    if layout.ep > 1:
        yield f"ep = {layout.ep}: the recipe has no plan that names experts; leave ep out, or give it a parallel_plan"
    for name in ("pp", "cp", "tp"):
        size = getattr(layout, name)
        if size > 1:
            yield (
                f"{name} = {size}: the recipe has no plan for it; use dp_replicate or dp_shard, "
                "or give the recipe a parallel_plan"
            )
    for name in ("activation_checkpointing", "compile"):
        if getattr(layout, name):
            yield f"{name} = True: the recipe names no blocks; give it a parallel_plan, or leave {name} out"


def _model(layout: ParallelDims, plan: ParallelPlan, device: Device) -> Iterator[str]:
    shape = plan.shape
    if layout.pp > 1 and not plan.chain:
        yield f"pp = {layout.pp}: the recipe gives no cut points; use dp_shard instead"
    elif layout.stages > len(plan.blocks):
        yield (
            f"pp = {layout.pp}: {layout.stages} stages (schedule {layout.schedule}) need as many blocks, the model "
            f"has {len(plan.blocks)}; use a smaller pp"
        )
    if layout.tp > 1:
        if plan.tensor is None:
            instead = "ep or dp_shard" if plan.experts else "dp_shard"
            yield f"tp = {layout.tp}: the recipe gives no tensor-parallel plan; use {instead} instead"
        widths = {"heads": shape.heads, "kv_heads": shape.kv_heads, "feed_forward": shape.feed_forward}
        if layout.loss_parallel:
            widths["classes"] = shape.classes
        for name, size in widths.items():
            if size % layout.tp:
                yield f"tp = {layout.tp}: {name} = {size} cannot be split so; use a divisor of {size}"
    if layout.sequence_parallel and shape.sequence % (layout.cp * layout.tp):
        yield (
            f"sequence_parallel = True: sequence = {shape.sequence} cannot be split over cp·tp = "
            f"{layout.cp * layout.tp}; use a multiple of that, or leave sequence_parallel out"
        )
    if layout.cp > 1:
        yield from _context(layout, plan, device)
    if layout.ep > 1:
        yield from _mixture(layout, plan)


def _mixture(layout: ParallelDims, plan: ParallelPlan) -> Iterator[str]:
    ep, experts, width = layout.ep, plan.shape.experts, plan.shape.feed_forward
    if not plan.experts:
        yield f"ep = {ep}: the recipe names no experts; use dp_shard alone"
        return
    if experts % ep:
        yield f"ep = {ep}: {experts} experts cannot be shared so; use a divisor of {experts}"
    same = layout.dp_shard * layout.cp // ep
    # Where nothing is sharded (dp_shard = 1) these ranks hold their experts whole.
    if layout.dp_shard > 1 and same > 1 and width % same:
        yield (
            f"ep = {ep}: it leaves dp_shard·cp / ep = {same} ranks to share each expert by its "
            f"feed_forward = {width}, which is no multiple of {same}; use another ep or dp_shard"
        )


def _context(layout: ParallelDims, plan: ParallelPlan, device: Device) -> Iterator[str]:
    cp, tp, shape = layout.cp, layout.tp, plan.shape
    if not plan.attention:
        yield f"cp = {cp}: the recipe names no attention that could be shared; use dp_shard instead"
    parts = 2 * cp if layout.ring(device) else cp
    if shape.sequence % parts:
        yield f"cp = {cp}: sequence = {shape.sequence} is no multiple of {parts}; use a sequence that is"
    if layout.ring(device):
        return
    for name, heads in (("heads", shape.heads), ("kv_heads", shape.kv_heads)):
        if heads % tp == 0 and (heads // tp) % cp:
            yield (
                f"cp = {cp}: Ulysses gives each rank whole heads, and {name} = {heads} / tp = {tp} is no multiple "
                f"of {cp}; use a divisor of {heads // tp}"
            )
