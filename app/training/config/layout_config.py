"""The layout as a configuration says it: degrees, of which one may take what the others leave of the workers."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.training.config.degrees import Degrees
from app.training.config.layout import ContextParallel, DataParallel, Layout, Precision, Schedule

Degree = Annotated[int, Field(ge=1)]
Rest = Literal["rest"]


class LayoutConfig(BaseModel):
    """How a run is spread. The product of the degrees is the number of workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pp: Degree = Field(1, description="Pipeline ranks; each holds a part of the layers")
    dp_replicate: Degree | Rest = Field("rest", description="Replicas of the weights; rest: what the others leave")
    dp_shard: Degree | Rest = Field(1, description="Ranks that share one copy of the weights (FSDP2)")
    cp: Degree = Field(1, description="Ranks that share each sequence")
    tp: Degree = Field(1, description="Ranks that share each matrix")
    ep: Degree = Field(1, description="Ranks, of those of dp_shard and cp, that share the experts")
    schedule: Schedule | None = Field(None, description="Pipeline schedule; needed with pp above 1")
    microbatches: Degree = Field(1, description="Parts of a batch that are in the pipeline at once")
    accumulation: Degree = Field(1, description="Parts of a batch one after the other, at the largest size")
    data_parallel: DataParallel = Field("auto", description="Who keeps replicas equal")
    context: ContextParallel = Field("auto", description="How ranks share a sequence")
    sequence_parallel: bool = Field(False, description="Activations between the matrices sharded over tp")
    loss_parallel: bool = Field(False, description="Logits sharded by class over tp")
    activation_checkpointing: bool = Field(False, description="Blocks keep their inputs only")
    compile: bool = Field(False, description="Each block by torch.compile")
    precision: Precision = Field("float32", description="Of the computation; weights and optimizer stay in float32")

    def at(self, workers: int, most: int) -> Layout:
        """The layout for ``workers`` processes of a run that has ``most`` at its largest.

        A smaller run accumulates more, so that a rank's rows in memory stay about the same.

        Raises:
            ValueError: the degrees do not make up ``workers``; the sentence says which numbers they make up.
        """
        largest = self._degrees(most)
        degrees = self._degrees(workers)
        return Layout(
            degrees=degrees,
            ep=self.ep,
            schedule=self.schedule,
            microbatches=self.microbatches,
            accumulation=self.accumulation * ceil(largest.dp / degrees.dp),
            data_parallel=self.data_parallel,
            context=self.context,
            sequence_parallel=self.sequence_parallel,
            loss_parallel=self.loss_parallel,
            activation_checkpointing=self.activation_checkpointing,
            compile=self.compile,
            precision=self.precision,
        )

    def _degrees(self, workers: int) -> Degrees:
        if self.dp_replicate == self.dp_shard == "rest":
            raise ValueError(
                "layout.dp_replicate = 'rest': dp_shard is 'rest' too, and only one can take what is left"
            )
        replicate = 1 if self.dp_replicate == "rest" else self.dp_replicate
        shard = 1 if self.dp_shard == "rest" else self.dp_shard
        fixed = Degrees(self.pp, replicate, shard, self.cp, self.tp)
        rest, over = divmod(workers, fixed.workers)
        if "rest" in (self.dp_replicate, self.dp_shard):
            if over or not rest:
                raise ValueError(f"workers = {workers}: {fixed} need a multiple of {fixed.workers}")
        elif rest != 1 or over:
            raise ValueError(
                f"workers = {workers}: {fixed} make {fixed.workers}; set one of dp_replicate and dp_shard to 'rest', "
                f"or workers to {fixed.workers}"
            )
        if self.dp_replicate == "rest":
            return Degrees(self.pp, rest, shard, self.cp, self.tp)
        return Degrees(self.pp, replicate, rest if self.dp_shard == "rest" else shard, self.cp, self.tp)
