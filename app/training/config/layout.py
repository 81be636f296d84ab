"""A whole layout: the degrees and how each kind of parallelism is carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from app.training.config.degrees import Degrees

Schedule = Literal["GPipe", "1F1B", "Interleaved1F1B", "InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"]
DataParallel = Literal["auto", "ddp", "fsdp2"]
ContextParallel = Literal["auto", "ulysses", "ring"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]

SPLITS_BACKWARD: frozenset[Schedule] = frozenset({"InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"})
"""Schedules that compute the gradients of inputs and of weights at different times."""
V_SHAPED: frozenset[Schedule] = frozenset({"ZBVZeroBubble", "DualPipeV"})
"""Schedules in which a rank holds a stage of the way down and its mirror image of the way up."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a run is spread. ``limits.check`` says whether a model can be spread so.

    Attributes:
        schedule: pipeline schedule; None exactly when ``degrees.pp`` is 1.
        microbatches: parts of a batch that are in the pipeline at once.
        accumulation: parts of a batch that go through forward and backward one after the other.
        ep: ranks that share the experts of a mixture, each holding some of them whole; neighbours among those of
            dp_shard and cp, whose product it divides. For experts it takes the place of that many ranks of dp_shard.
        data_parallel: who keeps replicas equal. auto: FSDP2 (``fully_shard``, or its ``replicate`` where nothing
            is sharded) when ``dp_shard``, ``tp`` or ``ep`` is above 1 or a rank holds two stages, else DDP.
        context: how ranks share a sequence. auto: Ulysses on the CPU, torch's ring on GPUs.
        sequence_parallel: between the matrices activations are sharded by position over tp.
        loss_parallel: logits stay sharded by class over tp.
        activation_checkpointing: blocks keep their inputs only and are computed again in the backward pass.
        compile: each block by ``torch.compile``.
        precision: of the computation; weights, gradients' sums and optimizer stay in float32.
    """

    degrees: Degrees = field(default_factory=Degrees)
    schedule: Schedule | None = None
    microbatches: int = 1
    accumulation: int = 1
    ep: int = 1
    data_parallel: DataParallel = "auto"
    context: ContextParallel = "auto"
    sequence_parallel: bool = False
    loss_parallel: bool = False
    activation_checkpointing: bool = False
    compile: bool = False
    precision: Precision = "float32"

    @property
    def stages_per_rank(self) -> int:
        """Pipeline stages that one rank holds."""
        return 1 if self.schedule in (None, "GPipe", "1F1B") else 2

    @property
    def stages(self) -> int:
        """Pipeline stages in all."""
        return self.degrees.pp * self.stages_per_rank

    @property
    def rows_quantum(self) -> int:
        """The global batch is a multiple of this many rows."""
        return self.degrees.dp * self.accumulation * self.microbatches

    @property
    def uses_fsdp2(self) -> bool:
        """Whether FSDP2 (rather than DDP, or nothing) takes care of the gradients over data and context ranks."""
        if self.degrees.dp * self.degrees.cp == 1:
            return False
        if self.data_parallel != "auto":
            return self.data_parallel == "fsdp2"
        degrees = self.degrees
        return degrees.dp_shard > 1 or degrees.tp > 1 or self.ep > 1 or self.stages_per_rank > 1

    @property
    def uses_ddp(self) -> bool:
        """Whether torch's DistributedDataParallel does."""
        return self.degrees.dp * self.degrees.cp > 1 and not self.uses_fsdp2

    def ring(self, device: Device) -> bool:
        """Whether context parallelism goes by torch's ring attention."""
        return self.degrees.cp > 1 and (self.context == "ring" or (self.context == "auto" and device == "cuda"))
