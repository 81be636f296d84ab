"""The decoder by itself: what a position may see, what rotation keeps, how large the named sizes are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.recipes.bytelm.bytelm_decoder import (
    Attention,
    CausalAttention,
    Decoder,
    MixtureOfExperts,
    Size,
    rotate,
    rotation,
)
from app.recipes.bytelm.named_sizes import SIZES
from app.training.parallel.initialization import generator
from tests.recipes.bytelm.support import prose

SMALL = Size(width=32, layers=2, heads=4, kv_heads=2, feed_forward=48)
MIXTURE = Size(width=32, layers=2, heads=4, kv_heads=2, feed_forward=24, experts=6, chosen=2)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(SMALL).eval()


def test_a_position_sees_itself_and_those_before_it(decoder: Decoder) -> None:
    tokens = torch.randint(256, (1, 12))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 256
    difference = (decoder(tokens) - decoder(changed)).abs().amax(-1)[0]
    assert (difference[:7] == 0).all()
    assert (difference[7:] > 1e-6).all()


def test_a_later_part_with_its_positions_attends_like_the_whole() -> None:
    """Rotation depends on distances only: shifting all positions changes nothing."""
    torch.manual_seed(0)
    decoder = Decoder(SMALL)
    tokens = torch.randint(256, (2, 9))
    positions = torch.arange(9).expand(2, -1)
    torch.testing.assert_close(decoder(tokens, positions + 100), decoder(tokens), rtol=1e-4, atol=1e-5)


def test_rotation_keeps_lengths_and_depends_on_distance() -> None:
    torch.manual_seed(0)
    cosine, sine = rotation(torch.arange(40).unsqueeze(0), 16, 10_000.0)
    query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    queries, keys = (rotate(x.expand(1, 1, 40, 16), cosine, sine)[0, 0] for x in (query, key))
    torch.testing.assert_close(queries.norm(dim=-1), query.norm().expand(40))
    products = queries @ keys.T
    torch.testing.assert_close(products[5, 2], products[33, 30], rtol=1e-4, atol=1e-5)
    assert abs(float(products[5, 2] - products[5, 3])) > 1e-4


def test_rotation_by_hand() -> None:
    """Position 3, first pair (dimensions 0 and 2 of 4, halves paired) turns by 3 radians, the second by 3 / 100."""
    cosine, sine = rotation(torch.tensor([[3]]), 4, 10_000.0)
    turned = rotate(torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 4), cosine, sine).flatten()
    expected = [math.cos(3), math.cos(0.03), math.sin(3), math.sin(0.03)]
    torch.testing.assert_close(turned, torch.tensor(expected))


def test_query_heads_share_keys_in_neighbouring_groups() -> None:
    """Grouped queries equal full attention with every key head repeated."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    repeated = [x.repeat_interleave(2, dim=1) for x in (key, value)]
    torch.testing.assert_close(CausalAttention()(query, key, value), CausalAttention()(query, *repeated))


def test_attention_takes_its_head_count_from_its_projections() -> None:
    """Half of the rows of each projection are half of the heads: what tensor parallelism gives a rank."""
    torch.manual_seed(0)
    whole, half = Attention(SMALL), Attention(Size(32, 2, 4, 2, 48))
    for name in ("query", "key", "value"):
        linear = getattr(half, name)
        linear.weight = nn.Parameter(getattr(whole, name).weight.chunk(2)[0])
    half.output.weight = nn.Parameter(whole.output.weight.chunk(2, dim=1)[0])
    cosine, sine = rotation(torch.arange(6).unsqueeze(0), SMALL.head_width, 10_000.0)
    assert half(torch.randn(1, 6, 32), cosine, sine).shape == (1, 6, 32)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("1m", 1_099_392),
        ("10m", 9_508_160),
        ("100m", 101_081_856),
        ("1b", 974_194_688),
        ("3b", 3_021_659_136),
        ("8b", 7_854_133_248),
        ("3m-a1m", 3_022_464),
        ("7b-a1b", 6_714_099_712),
        ("46b-a13b", 46_442_745_856),
    ],
)
def test_named_sizes(name: str, parameters: int) -> None:
    recipe = ByteLMRecipe(ByteLMConfig(size=name))
    with torch.device("meta"):
        model = recipe.build(prose(16, words=10))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters == SIZES[name].parameters
    promised, _, active = name.partition("-a")
    assert parameters == pytest.approx(_count(promised), rel=0.1)
    assert SIZES[name].active_parameters == pytest.approx(_count(active or promised), rel=0.1)


def _count(written: str) -> float:
    return float(written[:-1]) * {"m": 1e6, "b": 1e9}[written[-1]]


def test_a_mixture_is_what_a_loop_over_tokens_gives() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(MIXTURE)
    x = torch.randn(2, 7, 32)
    expected = []
    for token in x.flatten(0, 1):
        probabilities = mixture.router(token).softmax(0)
        chosen = probabilities.argsort(descending=True)[:2]
        answer = torch.zeros(32)
        for expert in chosen:
            gate, up, down = (weight[expert] for weight in mixture.experts.parameters())
            said = (nn.functional.silu(gate @ token) * (up @ token)) @ down
            answer = answer + probabilities[expert] / probabilities[chosen].sum() * said
        expected.append(answer)
    torch.testing.assert_close(mixture(x).flatten(0, 1), torch.stack(expected))


def test_a_token_of_a_mixture_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(MIXTURE)
    x = torch.randn(4, 7, 32)
    torch.testing.assert_close(mixture(x)[2:, 3:], mixture(x[2:, 3:]))


def test_an_expert_without_tokens_gets_a_gradient_of_zero() -> None:
    """Not none: other ranks may have tokens for it."""
    torch.manual_seed(0)
    mixture = MixtureOfExperts(MIXTURE)
    mixture(torch.randn(1, 1, 32)).sum().backward()
    gradients = [weight.grad for weight in mixture.experts.parameters()]
    assert all(grad is not None and (grad.abs().amax((1, 2)) > 0).sum() == 2 for grad in gradients)


def test_a_bias_counts_in_the_choice_and_not_in_the_weights() -> None:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(MIXTURE)
    x = torch.randn(1, 5, 32)
    before = mixture(x)
    mixture.bias += 1.0  # alike for all: who is chosen stays
    assert torch.equal(mixture(x), before)
    mixture.bias[3:5] += 1.0  # more than any probability
    scores = mixture.router(x)[0, :, 3:5].softmax(-1)
    three, four = (
        (nn.functional.silu(x[0] @ gate[index].T) * (x[0] @ up[index].T)) @ down[index]
        for gate, up, down in [tuple(mixture.experts.parameters())]
        for index in (3, 4)
    )
    torch.testing.assert_close(mixture(x)[0], scores[:, :1] * three + scores[:, 1:] * four)


def test_balancing_moves_each_bias_by_the_rate_towards_the_mean_load() -> None:
    mixture = MixtureOfExperts(replace(MIXTURE, balance_rate=0.01))
    for loads in ([10, 4, 4, 4, 2, 0], [4, 4, 4, 4, 8, 0]):
        mixture.balance(torch.tensor(loads))
    torch.testing.assert_close(mixture.bias, torch.tensor([-0.01, 0.0, 0.0, 0.0, 0.0, 0.02]))


def test_initial_weights_belong_to_their_name() -> None:
    recipe = ByteLMRecipe(ByteLMConfig())
    first, again, other = (torch.empty(64, 128) for _ in range(3))
    recipe.initialise("blocks.0.attention.key.weight", first, generator(0, "blocks.0.attention.key.weight"))
    recipe.initialise("blocks.0.attention.key.weight", again, generator(0, "blocks.0.attention.key.weight"))
    recipe.initialise("blocks.1.attention.key.weight", other, generator(0, "blocks.1.attention.key.weight"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.std()) == pytest.approx(0.02, rel=0.05)
    norm = torch.empty(128)
    recipe.initialise("norm.weight", norm, generator(0, "norm.weight"))
    assert torch.equal(norm, torch.ones(128))
    bias = torch.empty(8)
    recipe.initialise("blocks.0.feed_forward.bias", bias, generator(0, "blocks.0.feed_forward.bias"))
    assert torch.equal(bias, torch.zeros(8))
