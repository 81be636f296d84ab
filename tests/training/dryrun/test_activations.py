"""The estimate of activations, held against what autograd keeps; and what each switch changes in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.recipes.bytelm.bytelm_decoder import Experts
from app.training.config.parallel_dims import ParallelDims
from app.training.dryrun.activations import kept
from app.training.dryrun.saved import saved_bytes
from app.training.recipe import Data

NO_DATA = Data({}, {}, "none")


def counted(recipe: ByteLMRecipe, rows: int, autocast: bool) -> tuple[int, int]:
    """Bytes that a real forward pass on the CPU keeps, and bytes of its weights in bfloat16."""
    model = recipe.build(NO_DATA)
    batch = {name: torch.zeros(rows, recipe.config.sequence, dtype=torch.uint8) for name in ("tokens", "targets")}

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return recipe.loss(model, batch)

    multiplied = (module for module in model.modules() if isinstance(module, (nn.Linear, Experts)))
    matrices = sum(weight.numel() for module in multiplied for weight in module.parameters())
    return saved_bytes(model, forward), 2 * matrices if autocast else 0


@pytest.mark.parametrize(("size", "rows", "sequence"), [("1m", 4, 128), ("10m", 2, 256), ("3m-a1m", 4, 128)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_within_five_percent_of_what_autograd_keeps(size: str, rows: int, sequence: int, precision: str) -> None:
    recipe = ByteLMRecipe(ByteLMConfig(size=size, sequence=sequence))
    layout = ParallelDims(precision="bfloat16" if precision == "bfloat16" else "float32")
    one = kept(recipe.parallel_plan(NO_DATA).shape, layout, "cpu", rows)
    estimated = recipe.size.layers * one.block + one.first + one.last
    total, copies = counted(recipe, rows, precision == "bfloat16")
    assert estimated == pytest.approx(total - copies, rel=0.05)


@pytest.mark.parametrize("size", ["1m", "3m-a1m"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_block_is_exact(size: str, precision: str) -> None:
    recipe, deeper = (ByteLMRecipe(ByteLMConfig(size=size, sequence=128)) for _ in range(2))
    deeper.size = replace(recipe.size, layers=recipe.size.layers + 1)
    layout = ParallelDims(precision="bfloat16" if precision == "bfloat16" else "float32")
    one = kept(recipe.parallel_plan(NO_DATA).shape, layout, "cpu", 4)
    (more, more_copies), (less, copies) = (counted(each, 4, precision == "bfloat16") for each in (deeper, recipe))
    assert (more - more_copies) - (less - copies) == one.block


SHAPE = ByteLMRecipe(ByteLMConfig(size="8b", sequence=8192)).parallel_plan(NO_DATA).shape
SHARDED = ParallelDims(dp_shard=8, precision="bfloat16")


def test_checkpointing_keeps_the_input_only() -> None:
    one = kept(SHAPE, SHARDED.model_copy(update={"activation_checkpointing": True}), "cuda", 2)
    assert one.block == 2 * 8192 * 4096 * 2
    assert one.inside == kept(SHAPE, SHARDED, "cuda", 2).block


def test_context_parallel_ranks_keep_a_part_of_the_positions() -> None:
    ring = SHARDED.model_copy(update={"dp_shard": 8, "cp": 4})
    assert kept(SHAPE, ring, "cuda", 2).block == kept(SHAPE, SHARDED, "cuda", 2).block // 4


def test_a_token_that_is_sent_to_its_expert_keeps_two_indices_more() -> None:
    """For each of the eight experts that it takes: the order by expert where it arrives, and the way back."""
    shape = ByteLMRecipe(ByteLMConfig(size="7b-a1b", sequence=4096)).parallel_plan(NO_DATA).shape
    here, sent = (kept(shape, SHARDED.model_copy(update={"ep": ep}), "cuda", 1) for ep in (1, 8))
    assert sent.block - here.block == 4096 * 8 * 2 * 8


def test_sequence_parallel_ranks_keep_less_than_tensor_parallel_ones() -> None:
    tensor = SHARDED.model_copy(update={"dp_shard": 8, "tp": 4})
    plain, sequence = (
        kept(SHAPE, layout, "cuda", 2) for layout in (tensor, tensor.model_copy(update={"sequence_parallel": True}))
    )
    assert sequence.block < plain.block < kept(SHAPE, SHARDED, "cuda", 2).block
    assert sequence.boundary == plain.boundary // 4
