"""The layouts that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from app.training.config.parallel_dims import ParallelDims, PipelineSchedule

MICROBATCHES = 4

_SCHEDULES: tuple[PipelineSchedule, ...] = (
    "GPipe",
    "1F1B",
    "Interleaved1F1B",
    "InterleavedZeroBubble",
    "ZBVZeroBubble",
    "DualPipeV",
)


def _pipeline(
    schedule: PipelineSchedule, dp_replicate: int = 1, dp_shard: int = 1, cp: int = 1, tp: int = 1
) -> ParallelDims:
    return ParallelDims(
        pp=2, dp_replicate=dp_replicate, dp_shard=dp_shard, cp=cp, tp=tp, schedule=schedule, microbatches=MICROBATCHES
    )


DENSE: dict[str, ParallelDims] = {
    "ddp2": ParallelDims(dp_replicate=2),
    "replicate2": ParallelDims(dp_replicate=2, data_parallel="fsdp2"),
    "fsdp2": ParallelDims(dp_shard=2),
    "fsdp4": ParallelDims(dp_shard=4),
    "hsdp2x2": ParallelDims(dp_replicate=2, dp_shard=2),
    "ddp2+accumulation": ParallelDims(dp_replicate=2, accumulation=4),
    "fsdp2+accumulation": ParallelDims(dp_shard=2, accumulation=4),
    "fsdp2+checkpointing": ParallelDims(dp_shard=2, activation_checkpointing=True),
    "fsdp2+compile": ParallelDims(dp_shard=2, compile=True),
    "tp2": ParallelDims(tp=2),
    "tp2+sequence": ParallelDims(tp=2, sequence_parallel=True),
    "tp2+sequence+loss": ParallelDims(tp=2, sequence_parallel=True, loss_parallel=True),
    "tp4+sequence+loss": ParallelDims(tp=4, sequence_parallel=True, loss_parallel=True),
    **{f"pp2 {schedule}": _pipeline(schedule) for schedule in _SCHEDULES},
    "pp2+accumulation": ParallelDims(pp=2, schedule="1F1B", microbatches=2, accumulation=2),
    "pp2+checkpointing": ParallelDims(pp=2, schedule="1F1B", microbatches=4, activation_checkpointing=True),
    "cp2": ParallelDims(cp=2),
    "pp2×ddp2": _pipeline("1F1B", dp_replicate=2),
    "pp2×replicate2": _pipeline("Interleaved1F1B", dp_replicate=2),
    "pp2×replicate2 ZBVZeroBubble": _pipeline("ZBVZeroBubble", dp_replicate=2),
    "pp2×fsdp2": _pipeline("1F1B", dp_shard=2),
    "pp2×fsdp2+accumulation": ParallelDims(pp=2, dp_shard=2, schedule="1F1B", microbatches=2, accumulation=2),
    "pp2×fsdp2 DualPipeV": _pipeline("DualPipeV", dp_shard=2),
    "pp2×tp2": _pipeline("Interleaved1F1B", tp=2),
    "pp2×tp2+sequence+loss": ParallelDims(
        pp=2, tp=2, schedule="DualPipeV", microbatches=MICROBATCHES, sequence_parallel=True, loss_parallel=True
    ),
    "pp2×cp2": _pipeline("1F1B", cp=2),
    "replicate2×tp2": ParallelDims(dp_replicate=2, tp=2),
    "fsdp2×tp2": ParallelDims(dp_shard=2, tp=2, sequence_parallel=True, loss_parallel=True),
    "cp2×fsdp2": ParallelDims(dp_shard=2, cp=2),
    "cp2×ddp2": ParallelDims(dp_replicate=2, cp=2),
    "cp2×tp2": ParallelDims(cp=2, tp=2, sequence_parallel=True),
    "pp2×cp2×fsdp2": _pipeline("Interleaved1F1B", dp_shard=2, cp=2),
    "pp2×fsdp2×tp2": _pipeline("Interleaved1F1B", dp_shard=2, tp=2),
    "hsdp2x2×tp2": ParallelDims(dp_replicate=2, dp_shard=2, tp=2, sequence_parallel=True),
    "hsdp2x2×cp2": ParallelDims(dp_replicate=2, dp_shard=2, cp=2),
}
"""By name, in the order of the table. Where the name says nothing of it, the schedule is 1F1B or Interleaved1F1B."""

MIXTURE: dict[str, ParallelDims] = {
    "mixture ddp2": ParallelDims(dp_replicate=2),
    "mixture fsdp2": ParallelDims(dp_shard=2),
    "ep2": ParallelDims(dp_shard=2, ep=2),
    "ep4": ParallelDims(dp_shard=4, ep=4),
    "ep2+accumulation": ParallelDims(dp_shard=2, accumulation=4, ep=2),
    "ep2+checkpointing": ParallelDims(dp_shard=2, ep=2, activation_checkpointing=True),
    "ep2+compile": ParallelDims(dp_shard=2, ep=2, compile=True),
    "ep2 of fsdp4": ParallelDims(dp_shard=4, ep=2),
    "ep2 of hsdp2x2": ParallelDims(dp_replicate=2, dp_shard=2, ep=2),
    "ep2 of cp2": ParallelDims(cp=2, ep=2),
    "ep2 of cp2×replicate2": ParallelDims(dp_replicate=2, cp=2, ep=2),
    "ep4 of cp2×fsdp2": ParallelDims(dp_shard=2, cp=2, ep=4),
    "pp2×ep2": ParallelDims(pp=2, dp_shard=2, schedule="1F1B", microbatches=MICROBATCHES, ep=2),
    "pp2×ep2 Interleaved1F1B": ParallelDims(
        pp=2, dp_shard=2, schedule="Interleaved1F1B", microbatches=MICROBATCHES, ep=2
    ),
    "pp2×ep2 DualPipeV": ParallelDims(pp=2, dp_shard=2, schedule="DualPipeV", microbatches=MICROBATCHES, ep=2),
    "pp2×ep2 of hsdp2x2": ParallelDims(
        pp=2, dp_replicate=2, dp_shard=2, schedule="1F1B", microbatches=MICROBATCHES, ep=2
    ),
}
"""Those of a mixture of experts, likewise; ``ep`` takes its ranks from those of dp_shard and cp."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layouts that are compared with the same run of one process.

    Attributes:
        size: of bytelm.
    """

    size: str
    learning_rate: float
    layouts: dict[str, ParallelDims]


GROUPS = (
    Group("1m", 1e-3, DENSE),
    # Which experts a token takes jumps: with larger steps float32's rounding grows until it changes some within 20
    # steps, in any layout and in one process that sums its rows in another order.
    Group("3m-a1m", 3e-4, MIXTURE),
)
CASES = {name: layout for group in GROUPS for name, layout in group.layouts.items()}
