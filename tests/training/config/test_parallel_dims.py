"""Layouts of a configuration: degrees that follow from the number of workers, or a sentence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.recipes.bytelm.named_sizes import SIZES
from app.recipes.bytelm.parallel_plan import parallel_plan
from app.training.config.parallel_dims import ParallelDims
from app.training.config.train_config import ConfigError, TrainConfig, parse_config
from app.training.config.validation import layout_errors
from app.training.config.world_sizes import layouts

PLAN = parallel_plan(SIZES["1m"], sequence=64)


@st.composite
def configs(draw: st.DrawFn) -> TrainConfig:
    """Any numbers of workers and any degrees, sensible or not."""
    degree = st.sampled_from([1, 1, 2, 3, 4])
    pp = draw(degree)
    fewest, more = draw(st.integers(1, 8)), draw(st.integers(0, 16))
    return parse_config(
        {
            "recipe": "bytelm",
            "model": "any",
            "workers": f"{fewest}:{fewest + more}",
            "batch_size": draw(st.sampled_from([12, 24, 48, 96])),
            "layout": {
                "pp": pp,
                "dp_replicate": draw(st.one_of(st.just("rest"), degree)),
                "dp_shard": draw(st.one_of(st.just("rest"), degree)),
                "cp": draw(degree),
                "tp": draw(degree),
                "schedule": "GPipe" if pp > 1 else None,
                "microbatches": draw(st.sampled_from([1, 2, 4])) if pp > 1 else 1,
                "accumulation": draw(st.sampled_from([1, 1, 2])),
            },
        }
    )


@given(configs())
@settings(max_examples=200, deadline=None)
def test_accepted_workers_have_a_layout_and_refused_ones_a_sentence(config: TrainConfig) -> None:
    found, refused = _layouts(config)
    if refused:
        assert all(" = " in line and ":" in line for line in refused.splitlines())
        return
    largest = found[max(found)]
    for workers, layout in found.items():
        assert config.min_workers <= workers <= config.max_workers
        assert layout.workers == workers
        assert not list(layout_errors(layout, PLAN, "cpu", config.batch_size))
        assert _rows_at_once(config, layout) <= _rows_at_once(config, largest)
    assert list(found) == sorted(found, reverse=True)


def _layouts(config: TrainConfig) -> tuple[dict[int, ParallelDims], str]:
    try:
        return layouts(config, PLAN, "cpu"), ""
    except ConfigError as error:
        return {}, str(error)


def _rows_at_once(config: TrainConfig, layout: ParallelDims) -> int:
    return config.batch_size // layout.rows_quantum
