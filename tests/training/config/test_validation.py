"""Layouts that are refused, each with its sentence; accepted ones build a mesh and a schedule."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import get_args

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import PipelineScheduleMulti, get_schedule_class
from torch.testing._internal.distributed.fake_pg import FakeStore

from app.recipes.bytelm.named_sizes import SIZES
from app.recipes.bytelm.parallel_plan import parallel_plan
from app.training.config.parallel_dims import DIMENSIONS, DataParallel, Device, ParallelDims, PipelineSchedule
from app.training.config.train_config import ConfigError
from app.training.config.validation import check_layout, layout_errors
from app.training.parallel.mesh import build_mesh
from app.training.parallel.stages import cut, stages_of
from app.training.recipe import ParallelPlan

PLAN = parallel_plan(SIZES["1m"], sequence=64)
"""6 blocks, 8 heads, 4 kv heads, feed-forward 320, 256 classes."""
EXPERTS = parallel_plan(SIZES["3m-a1m"], sequence=64)
"""Its feed-forward networks are 8 experts of 144."""
BARE = replace(PLAN, chain=(), attention=(), tensor=None)


@pytest.mark.parametrize(
    "layout",
    [
        ParallelDims(),
        ParallelDims(dp_replicate=8),
        ParallelDims(dp_replicate=2, dp_shard=2, tp=2, sequence_parallel=True, loss_parallel=True),
        ParallelDims(pp=2, dp_replicate=2, schedule="1F1B", microbatches=4, data_parallel="ddp"),
        ParallelDims(pp=3, cp=2, schedule="ZBVZeroBubble", microbatches=8),
        ParallelDims(cp=2, tp=2, context="ulysses"),
        ParallelDims(pp=2, schedule="GPipe", microbatches=1),
        ParallelDims(dp_shard=2, compile=True, activation_checkpointing=True, precision="bfloat16"),
    ],
)
def test_layout_is_accepted(layout: ParallelDims) -> None:
    check_layout(layout, PLAN, "cpu", 64)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (ParallelDims(dp_replicate=3), "batch_size = 64: 3 data-parallel ranks × .* multiple of 3, such as 63"),
        (ParallelDims(schedule="1F1B"), "schedule = '1F1B': there is no pipeline with pp = 1"),
        (ParallelDims(microbatches=4), "microbatches = 4: there is no pipeline with pp = 1; use accumulation"),
        (ParallelDims(pp=2), "schedule is missing: pp = 2 needs one, such as 1F1B"),
        (
            ParallelDims(pp=4, schedule="1F1B", microbatches=2),
            "microbatches = 2: 1F1B with 4 stages needs at least 4; use more, or the .* GPipe",
        ),
        (
            ParallelDims(pp=2, schedule="DualPipeV", microbatches=2),
            "microbatches = 2: DualPipeV with 4 stages needs at least 4",
        ),
        (
            ParallelDims(pp=3, schedule="Interleaved1F1B", microbatches=11),
            "3 rounds of pp = 3 .* use a multiple of 3, such as 9",
        ),
        (
            ParallelDims(pp=4, schedule="Interleaved1F1B", microbatches=8),
            "pp = 4: 8 stages .* the model has 6; use a smaller pp",
        ),
        (ParallelDims(pp=8, schedule="GPipe", microbatches=8), "pp = 8: 8 stages .* the model has 6"),
        (ParallelDims(tp=8), "tp = 8: kv_heads = 4 cannot be split so; use a divisor of 4"),
        (ParallelDims(tp=3, loss_parallel=True), "tp = 3: classes = 256 cannot be split"),
        (ParallelDims(sequence_parallel=True), "sequence_parallel = True: it shards over tp, which is 1"),
        (ParallelDims(loss_parallel=True), "loss_parallel = True: it shards over tp, which is 1"),
        (ParallelDims(cp=8), "cp = 8: Ulysses .* kv_heads = 4 / tp = 1 is no multiple of 8; use a divisor of 4"),
        (ParallelDims(cp=4, tp=2), "cp = 4: Ulysses .* kv_heads = 4 / tp = 2 .* use a divisor of 2"),
        (ParallelDims(cp=3), "cp = 3: sequence = 64 is no multiple of 3"),
        (
            ParallelDims(cp=2, context="ring"),
            "context = 'ring': torch's ring attention has no CPU rule .* ulysses",
        ),
        (ParallelDims(context="ulysses"), "context = 'ulysses': no ranks share a sequence with cp = 1"),
        (ParallelDims(data_parallel="fsdp2"), "data_parallel = 'fsdp2': no ranks share gradients"),
        (ParallelDims(dp_shard=2, data_parallel="ddp"), "data_parallel = 'ddp': DDP does not shard"),
        (ParallelDims(dp_replicate=2, tp=2, data_parallel="ddp"), "c10d.broadcast_.*use fsdp2, or dp_shard"),
        (
            ParallelDims(pp=2, dp_replicate=2, schedule="ZBVZeroBubble", microbatches=4, data_parallel="ddp"),
            "data_parallel = 'ddp': ZBVZeroBubble puts two stages on a rank",
        ),
        (ParallelDims(tp=2, compile=True), "compile = True: torch.compile with tp = 2 fails on the CPU"),
        (
            ParallelDims(pp=2, schedule="DualPipeV", microbatches=4, compile=True),
            "compile = True: DualPipeV computes the gradients .* apart",
        ),
    ],
)
def test_layout_is_refused_with_its_sentence(layout: ParallelDims, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_layout(layout, PLAN, "cpu", 64)


@pytest.mark.parametrize(
    ("layout", "plan", "sentence"),
    [
        (
            ParallelDims(tp=2),
            None,
            "tp = 2: the recipe has no plan for it; use dp_replicate or dp_shard",
        ),
        (ParallelDims(pp=2, schedule="1F1B", microbatches=2), None, "pp = 2: the recipe has no plan"),
        (
            ParallelDims(activation_checkpointing=True),
            None,
            "activation_checkpointing = True: the recipe names no blocks",
        ),
        (ParallelDims(tp=2), BARE, "tp = 2: the recipe gives no tensor-parallel plan"),
        (ParallelDims(pp=2, schedule="1F1B", microbatches=2), BARE, "pp = 2: the recipe gives no cut points"),
        (ParallelDims(cp=2), BARE, "cp = 2: the recipe names no attention"),
    ],
)
def test_recipe_that_lacks_a_cut_point_is_refused(
    layout: ParallelDims, plan: ParallelPlan | None, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_layout(layout, plan, "cpu", 64)


@pytest.mark.parametrize(
    "layout",
    [
        ParallelDims(dp_replicate=2),
        ParallelDims(dp_shard=4, ep=4),
        ParallelDims(dp_replicate=2, dp_shard=4, cp=2, ep=4),
        ParallelDims(cp=2, ep=2),
        ParallelDims(pp=2, dp_shard=2, schedule="1F1B", microbatches=4, ep=2, activation_checkpointing=True),
    ],
)
def test_layout_of_experts_is_accepted(layout: ParallelDims) -> None:
    check_layout(layout, EXPERTS, "cpu", 64)


@pytest.mark.parametrize(
    ("layout", "plan", "sentence"),
    [
        (ParallelDims(ep=2), EXPERTS, "ep = 2: .* dp_shard·cp = 1 .* or a dp_shard that is a multiple of 2"),
        (ParallelDims(dp_shard=2, cp=2, ep=3), EXPERTS, "ep = 3: .* dp_shard·cp = 4 .* use a divisor of 4"),
        (ParallelDims(dp_shard=16, ep=16), EXPERTS, "ep = 16: 8 experts cannot be shared so; use a divisor of 8"),
        (
            ParallelDims(dp_shard=64, ep=2),
            EXPERTS,
            "ep = 2: .* 32 ranks .* feed_forward = 144, which is no",
        ),
        (
            ParallelDims(dp_shard=2, tp=2, ep=2),
            EXPERTS,
            "ep = 2: .* all tp = 2 ranks would do its work",
        ),
        (ParallelDims(tp=2), EXPERTS, "tp = 2: the recipe gives no tensor-parallel plan; use ep or dp_shard"),
        (ParallelDims(cp=2, ep=2, data_parallel="ddp"), EXPERTS, "data_parallel = 'ddp': .* ep = 2 .* use fsdp2"),
        (ParallelDims(dp_shard=2, ep=2), PLAN, "ep = 2: the recipe names no experts; use dp_shard alone"),
        (ParallelDims(dp_shard=2, ep=2), None, "ep = 2: the recipe has no plan that names experts"),
    ],
)
def test_layout_of_experts_is_refused_with_its_sentence(
    layout: ParallelDims, plan: ParallelPlan | None, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_layout(layout, plan, "cpu", 64)


def test_a_recipe_without_a_plan_is_data_parallel() -> None:
    check_layout(ParallelDims(dp_replicate=2, dp_shard=2, accumulation=2), None, "cpu", 64)


def test_layout_that_only_the_cpu_lacks_is_accepted_on_gpus() -> None:
    check_layout(ParallelDims(cp=2, context="ring"), PLAN, "cuda", 64)
    check_layout(ParallelDims(tp=2, compile=True), PLAN, "cuda", 64)


def test_ring_attention_needs_twice_as_many_parts_of_a_sequence() -> None:
    odd = parallel_plan(SIZES["1m"], sequence=66)
    with pytest.raises(ConfigError, match="cp = 2: sequence = 66 is no multiple of 4"):
        check_layout(ParallelDims(cp=2), odd, "cuda", 64)
    check_layout(ParallelDims(cp=2), odd, "cpu", 64)


def test_each_reason_has_a_line() -> None:
    with pytest.raises(ConfigError) as refused:
        check_layout(ParallelDims(dp_replicate=3, tp=3, microbatches=2, context="ring"), PLAN, "cpu", 64)
    assert [line.split(" ")[0] for line in str(refused.value).splitlines()] == [
        "batch_size", "microbatches", "context", "tp", "tp", "tp",
    ]  # fmt: skip


@pytest.mark.parametrize("field", [*DIMENSIONS, "ep", "microbatches", "accumulation"])
def test_degree_below_one_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}\n.*greater than or equal to 1"):
        ParallelDims.model_validate({field: 0})


@pytest.mark.parametrize(
    ("layout", "held"),
    [
        (ParallelDims(pp=3, schedule="1F1B", microbatches=3), [(0,), (1,), (2,)]),
        (ParallelDims(pp=3, schedule="Interleaved1F1B", microbatches=3), [(0, 3), (1, 4), (2, 5)]),
        (ParallelDims(pp=3, schedule="ZBVZeroBubble", microbatches=6), [(0, 5), (1, 4), (2, 3)]),
    ],
)
def test_stages_of_each_rank(layout: ParallelDims, held: list[tuple[int, ...]]) -> None:
    assert [stages_of(rank, layout) for rank in range(3)] == held


def test_blocks_are_cut_evenly_and_what_is_around_them_joins_the_ends() -> None:
    assert cut(PLAN.chain, PLAN.blocks, 4) == (
        ("embedding", "blocks.0", "blocks.1"),
        ("blocks.2", "blocks.3"),
        ("blocks.4",),
        ("blocks.5", "norm", "head"),
    )


@st.composite
def layouts(draw: st.DrawFn) -> ParallelDims:
    """Any layout of up to 32 workers, sensible or not."""
    degree = st.sampled_from([1, 1, 1, 2, 3, 4])
    degrees = st.fixed_dictionaries(dict.fromkeys(DIMENSIONS, degree))
    sizes = draw(degrees.filter(lambda sizes: prod(sizes.values()) <= 32))
    pipelined = sizes["pp"] > 1
    return ParallelDims(
        **sizes,
        schedule=draw(st.sampled_from([None, *get_args(PipelineSchedule)])) if pipelined else None,
        microbatches=draw(st.sampled_from([1, 2, 3, 4, 6, 8])) if pipelined else 1,
        accumulation=draw(st.sampled_from([1, 1, 2])),
        ep=draw(st.sampled_from([1, 1, 2, 4])),
        data_parallel=draw(st.sampled_from(["auto", "auto", *get_args(DataParallel)])),
        context=draw(st.sampled_from(["auto", "auto", "ulysses", "ring"])),
        sequence_parallel=draw(st.booleans()),
        loss_parallel=draw(st.booleans()),
        activation_checkpointing=draw(st.booleans()),
        compile=draw(st.booleans()),
    )


@given(
    layouts(),
    st.sampled_from([PLAN, EXPERTS]),
    st.sampled_from(get_args(Device)),
    st.sampled_from([12, 24, 48]),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_accepted_layout_builds_and_refused_one_has_a_sentence(
    layout: ParallelDims, plan: ParallelPlan, device: Device, batch_size: int, data: st.DataObject
) -> None:
    said = list(layout_errors(layout, plan, device, batch_size))
    if said:
        assert all(":" in line and len(line) > 30 for line in said)
        return
    rank = data.draw(st.integers(0, layout.workers - 1))
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=layout.workers)
    try:
        mesh = build_mesh(layout, "cpu")
        assert mesh.whole.size() == layout.workers
        assert 0 <= mesh.dp_rank < layout.dp
        assert mesh.gradients.size() == layout.dp * layout.cp
        assert mesh.losses.size() * layout.tp == layout.workers
        assert (mesh.experts is None) == (layout.ep == 1)
        if mesh.experts is not None:
            assert mesh.experts.exchange.size() == layout.ep
            assert mesh.experts.gradients.size() * layout.ep == mesh.gradients.size()
        if layout.schedule is not None:
            names = cut(plan.chain, plan.blocks, layout.stages)
            assert len(names) == layout.stages
            assert all(set(part) & set(plan.blocks) for part in names)
            assert tuple(name for part in names for name in part) == plan.chain
            kind = get_schedule_class(layout.schedule)
            stages = [
                PipelineStage(nn.Linear(1, 1), index, layout.stages, torch.device("cpu"), group=mesh.group("pp"))
                for index in stages_of(mesh.rank("pp"), layout)
            ]
            kind(stages if issubclass(kind, PipelineScheduleMulti) else stages[0], layout.microbatches)
    finally:
        dist.destroy_process_group()
