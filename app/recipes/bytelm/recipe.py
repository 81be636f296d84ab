"""The recipe: learn to predict the next byte of Python source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Generator, Tensor, nn
from torch.nn import functional

from app.recipes.bytelm.bytelm_decoder import Decoder
from app.recipes.bytelm.corpus import library, list_files, read_corpus, read_manifest
from app.recipes.bytelm.named_sizes import SIZES
from app.recipes.bytelm.parallel_plan import parallel_plan
from app.recipes.bytelm.windows import windows
from app.training.recipe import Columns, Data, Evaluation, ParallelPlan

if TYPE_CHECKING:
    from app.registry import ModelPackage

EVALUATION_ROWS = 64
"""Windows per forward pass when a model is judged."""


class ByteLMConfig(BaseModel):
    """Configuration of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: str = Field("1m", description=f"Named size of the decoder: {', '.join(SIZES)}")
    sequence: int = Field(256, ge=2, description="Positions per row")
    corpus: Literal["pinned", "installed"] = Field(
        "pinned", description="pinned: exactly the manifest's files; installed: this Python's, whatever they are"
    )

    @field_validator("size")
    @classmethod
    def _known(cls, size: str) -> str:
        if size not in SIZES:
            raise ValueError(f"accepted are {', '.join(SIZES)}")
        return size


class ByteLMRecipe:
    """A byte-level decoder over the standard library's source."""

    Config = ByteLMConfig
    name = "bytelm"

    def __init__(self, config: ByteLMConfig) -> None:
        self.config = config
        self.size = SIZES[config.size]

    def prepare(self) -> Data:
        """Windows of the training and of the validation files, columns ``tokens`` and ``targets`` (uint8).

        Raises:
            CorpusError: the corpus is pinned and this installation has other files.
        """
        root = library()
        files = read_manifest() if self.config.corpus == "pinned" else list_files(root)
        corpus = read_corpus(root, files)
        facts = {"files": corpus.files, "train_bytes": len(corpus.train), "validation_bytes": len(corpus.validation)}
        sequence = self.config.sequence
        return Data(windows(corpus.train, sequence), windows(corpus.validation, sequence), corpus.fingerprint, facts)

    def build(self, data: Data) -> nn.Module:
        """The decoder; nothing of it depends on the data."""
        return Decoder(self.size)

    def initialise(self, name: str, value: Tensor, generator: Generator) -> None:
        """Norms 1, biases 0; matrices normal with standard deviation 0.02, those that write to the residual stream
        divided by √(2·layers) (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section
        2.3)."""
        if value.dim() == 1:
            value.fill_(0.0 if name.endswith("bias") else 1.0)
            return
        residual = name.endswith(("attention.output.weight", "feed_forward.down.weight", "feed_forward.experts.down"))
        value.normal_(0.0, 0.02 / math.sqrt(2 * self.size.layers) if residual else 0.02, generator=generator)

    def parallel_plan(self, data: Data) -> ParallelPlan:
        """Every kind of cut."""
        return parallel_plan(self.size, self.config.sequence)

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy per byte, nats: logits (b, s, 256), bytes (b, s)."""
        return functional.cross_entropy(output.flatten(0, 1).float(), target.flatten().long())

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The criterion of the model's output."""
        return self.criterion(model(batch["tokens"]), batch["targets"])

    def evaluate(self, model: nn.Module, test: Columns) -> Evaluation:
        """Bits per byte over all windows."""
        nats = 0.0
        for first in range(0, len(test["tokens"]), EVALUATION_ROWS):
            tokens, targets = (
                torch.tensor(test[name][first : first + EVALUATION_ROWS]) for name in ("tokens", "targets")
            )
            nats += float(self.criterion(model(tokens), targets)) * targets.numel()
        return Evaluation({"bits_per_byte": nats / test["targets"].size / math.log(2)})

    def package(self, model: nn.Module, data: Data, folder: Path) -> ModelPackage:
        """The decoder that says how many bits each byte of a text costs."""
        from app.recipes.bytelm.package import package  # MLflow: workers import this module and need none of it

        return package(model, self.size, self.config.sequence, folder)
