"""The layout of a run over its processes: as configured, and resolved for a number of workers."""

from __future__ import annotations

from math import ceil, prod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PipelineSchedule = Literal["GPipe", "1F1B", "Interleaved1F1B", "InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"]
DataParallel = Literal["auto", "ddp", "fsdp2"]
ContextParallel = Literal["auto", "ulysses", "ring"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]
Degree = Annotated[int, Field(ge=1)]
Rest = Literal["rest"]

DIMENSIONS = ("pp", "dp_replicate", "dp_shard", "cp", "tp")
"""Dimensions of the device mesh, outermost first: neighbours in rank share a node, and tensor parallelism
communicates most."""
SPLITS_BACKWARD: frozenset[PipelineSchedule] = frozenset({"InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"})
"""Schedules that compute the gradients of inputs and of weights at different times."""
V_SHAPED: frozenset[PipelineSchedule] = frozenset({"ZBVZeroBubble", "DualPipeV"})
"""Schedules in which a rank holds a stage of the way down and its mirror image of the way up."""


class ParallelConfig(BaseModel):
    """Parallelism as configured. One of the data-parallel degrees may take what the others leave of the workers.

    Attributes:
        ep: ranks that share the experts of a mixture, each holding some of them whole; neighbours among those of
            dp_shard and cp, whose product it divides. For experts it takes the place of that many ranks of dp_shard.
        data_parallel: auto is FSDP2 (``fully_shard``, or its ``replicate`` where nothing is sharded) when
            ``dp_shard``, ``tp`` or ``ep`` is above 1 or a rank holds two stages, else DDP.
        context: auto is Ulysses on the CPU, torch's ring on GPUs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pp: Degree = Field(1, description="Pipeline ranks; each holds a part of the layers")
    dp_replicate: Degree | Rest = Field("rest", description="Replicas of the weights; rest: what the others leave")
    dp_shard: Degree | Rest = Field(1, description="Ranks that share one copy of the weights (FSDP2)")
    cp: Degree = Field(1, description="Ranks that share each sequence")
    tp: Degree = Field(1, description="Ranks that share each matrix")
    ep: Degree = Field(1, description="Ranks, of those of dp_shard and cp, that share the experts")
    schedule: PipelineSchedule | None = Field(None, description="Pipeline schedule; needed with pp above 1")
    microbatches: Degree = Field(1, description="Parts of a batch that are in the pipeline at once")
    accumulation: Degree = Field(1, description="Parts of a batch one after the other, at the largest size")
    data_parallel: DataParallel = Field("auto", description="Implementation of data parallelism")
    context: ContextParallel = Field("auto", description="Implementation of context parallelism")
    sequence_parallel: bool = Field(False, description="Activations between the matrices sharded over tp")
    loss_parallel: bool = Field(False, description="Logits sharded by class over tp")
    activation_checkpointing: bool = Field(False, description="Blocks keep their inputs only")
    compile: bool = Field(False, description="Each block by torch.compile")
    precision: Precision = Field("float32", description="Of the computation; weights and optimizer stay in float32")

    def resolve(self, workers: int, largest: int) -> ParallelDims:
        """Returns the dimensions for ``workers`` processes of a run that has at most ``largest``.

        A smaller run accumulates more, so that a rank's rows in memory stay about the same.

        Raises:
            ValueError: the degrees do not make up ``workers``; the sentence says which numbers they make up.
        """
        dims = self._dims(workers)
        more = ceil(self._dims(largest).dp / dims.dp)
        return dims.model_copy(update={"accumulation": self.accumulation * more})

    def _dims(self, workers: int) -> ParallelDims:
        if self.dp_replicate == self.dp_shard == "rest":
            raise ValueError(
                "layout.dp_replicate = 'rest': dp_shard is 'rest' too, and only one can take what is left"
            )
        fixed = self._with_rest(1)
        rest, over = divmod(workers, fixed.workers)
        if "rest" in (self.dp_replicate, self.dp_shard):
            if over or not rest:
                raise ValueError(f"workers = {workers}: {fixed} need a multiple of {fixed.workers}")
        elif rest != 1 or over:
            raise ValueError(
                f"workers = {workers}: {fixed} make {fixed.workers}; set one of dp_replicate and dp_shard to 'rest', "
                f"or workers to {fixed.workers}"
            )
        return self._with_rest(rest)

    def _with_rest(self, rest: int) -> ParallelDims:
        return ParallelDims(**{name: rest if value == "rest" else value for name, value in self})


class ParallelDims(ParallelConfig):
    """Resolved parallelism: the product of the degrees is the number of workers.

    ``validation.check_layout`` reports if a model can be laid out so.
    """

    dp_replicate: Degree = 1
    dp_shard: Degree = 1

    @property
    def mesh_shape(self) -> tuple[int, ...]:
        """Sizes of the device mesh, one for each of ``DIMENSIONS``."""
        return self.pp, self.dp_replicate, self.dp_shard, self.cp, self.tp

    @property
    def workers(self) -> int:
        """Number of processes."""
        return prod(self.mesh_shape)

    @property
    def dp(self) -> int:
        """Number of ranks that see different rows."""
        return self.dp_replicate * self.dp_shard

    @property
    def stages_per_rank(self) -> int:
        """Pipeline stages that one rank holds."""
        return 1 if self.schedule in (None, "GPipe", "1F1B") else 2

    @property
    def stages(self) -> int:
        """Pipeline stages of all ranks."""
        return self.pp * self.stages_per_rank

    @property
    def rows_quantum(self) -> int:
        """The number of rows that the global batch must be a multiple of."""
        return self.dp * self.accumulation * self.microbatches

    @property
    def uses_fsdp2(self) -> bool:
        """True where FSDP2 (rather than DDP, or nothing) reduces the gradients over data and context ranks."""
        if self.dp * self.cp == 1:
            return False
        if self.data_parallel != "auto":
            return self.data_parallel == "fsdp2"
        return self.dp_shard > 1 or self.tp > 1 or self.ep > 1 or self.stages_per_rank > 1

    @property
    def uses_ddp(self) -> bool:
        """True where torch's DistributedDataParallel reduces the gradients."""
        return self.dp * self.cp > 1 and not self.uses_fsdp2

    def ring(self, device: Device) -> bool:
        """True where context parallelism is torch's ring attention."""
        return self.cp > 1 and (self.context == "ring" or (self.context == "auto" and device == "cuda"))

    def __str__(self) -> str:
        named = [f"{name}={size}" for name, size in zip(DIMENSIONS, self.mesh_shape, strict=True) if size > 1]
        return " × ".join(named) or "one process"
