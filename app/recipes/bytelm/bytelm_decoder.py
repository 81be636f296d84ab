"""A decoder in the manner of Llama, in plain PyTorch for one device. Imports nothing of the application's: the file
travels with a registered model, under this name.

Shapes: batch b, positions s, width d, heads h, key and value heads k, head width w; of a mixture of experts: tokens n
(= b·s), experts e, inner width f.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 256
"""Tokens are bytes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Dimensions of a decoder.

    Attributes:
        width: of the residual stream.
        layers: decoder blocks.
        heads: query heads of width ``width / heads``; kv_heads of them have keys and values of their own.
        feed_forward: inner width of a block's feed-forward network, or of each of its experts.
        rope_base: of the rotary embeddings' wavelengths.
        experts: feed-forward networks per block, of which each token takes ``chosen``; 0: one that all tokens take.
        balance_rate: how far an expert's bias moves after each step, as a part of all probability; 0: not at all.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    rope_base: float = 10_000.0
    experts: int = 0
    chosen: int = 0
    balance_rate: float = 0.0

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """Number of parameters, embedding and head included."""
        return self._parameters(self.experts)

    @property
    def active_parameters(self) -> int:
        """Number of parameters that a token meets: without the experts that it does not take."""
        return self._parameters(self.chosen)

    def _parameters(self, experts: int) -> int:
        attention = 2 * self.width * self.width + 2 * self.width * self.kv_heads * self.head_width
        network, router = 3 * self.width * self.feed_forward, self.experts * self.width
        block = attention + (router + experts * network if self.experts else network) + 2 * self.width
        return self.layers * block + self.width + 2 * CLASSES * self.width


class CausalAttention(nn.Module):
    """Softmax attention in which a position sees itself and those before it."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention: (b, h, s, w), twice (b, k, s, w) -> (b, h, s, w); h / k neighbouring query heads share a key
        head (grouped queries: Ainslie et al. 2023, "GQA")."""
        shared = query.shape[1] != key.shape[1]
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=shared)


class Attention(nn.Module):
    """Projections around :class:`CausalAttention`. Head counts follow from what the projections give, so that the
    same code runs with a rank's share of the heads."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.head_width = size.head_width
        self.query = nn.Linear(size.width, size.heads * size.head_width, bias=False)
        self.key = nn.Linear(size.width, size.kv_heads * size.head_width, bias=False)
        self.value = nn.Linear(size.width, size.kv_heads * size.head_width, bias=False)
        self.attend = CausalAttention()
        self.output = nn.Linear(size.heads * size.head_width, size.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Computes, from (b, s, d) and the rotation of its positions, twice (b, s, w) -> (b, s, d)."""
        query, key, value = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        attended = self.attend(rotate(query, cosine, sine), rotate(key, cosine, sine), value)
        joined: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return joined

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.view(*projected.shape[:-1], -1, self.head_width).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, "GLU Variants Improve Transformer")."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.gate = nn.Linear(size.width, size.feed_forward, bias=False)
        self.up = nn.Linear(size.width, size.feed_forward, bias=False)
        self.down = nn.Linear(size.feed_forward, size.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Computes (b, s, d) -> (b, s, d)."""
        product: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return product


class Experts(nn.Module):
    """SwiGLU networks side by side. Their weights are stacked, expert first and inner width second, so that they can
    be cut by expert, and each expert by inner width, in one way for all three."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        shape = size.experts, size.feed_forward, size.width
        self.gate, self.up, self.down = (nn.Parameter(torch.empty(shape)) for _ in range(3))
        for weight, inputs in ((self.gate, size.width), (self.up, size.width), (self.down, size.feed_forward)):
            nn.init.uniform_(weight, -(inputs**-0.5), inputs**-0.5)  # as nn.Linear does

    def forward(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """Every token through one expert.

        Args:
            tokens: (n, d), those of the first expert first.
            counts: how many each expert gets, (e,), int64; their sum is n.

        Returns:
            (n, d), in the same order.
        """
        # One by one: torch's grouped_mm takes only bfloat16 on GPUs, and autocast does not know it.
        parts = torch.split(tokens, counts.tolist())
        weights = self.gate.unbind(), self.up.unbind(), self.down.unbind()
        answers = [
            functional.silu(part @ gate.T) * (part @ up.T) @ down
            for part, gate, up, down in zip(parts, *weights, strict=True)
        ]
        return torch.cat(answers)


class MixtureOfExperts(nn.Module):
    """Each token goes to the experts that its router scores highest, and is the sum of their outputs, weighted by the
    softmax over their scores (Shazeer et al. 2017, "Outrageously Large Neural Networks", section 2.1, without noise;
    Jiang et al. 2024, "Mixtral of Experts", section 2.1).

    No expert has a capacity, so no token is dropped: what becomes of one does not depend on the others in its batch.
    Loads are balanced without an auxiliary loss (Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing Strategy for
    Mixture-of-Experts"; DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", section 2.1.2): each expert has a bias that
    counts in the choice and not in the weights, and whoever trains calls ``balance`` after each step. It is added to
    the softmax over all scores rather than to the scores, which have no bounds that a bias would catch up with.

    Attributes:
        bias: (e,), a buffer; 0 at first.
    """

    bias: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.chosen, self.balance_rate = size.chosen, size.balance_rate
        self.router = nn.Linear(size.width, size.experts, bias=False)
        self.register_buffer("bias", torch.zeros(size.experts))
        self.experts = Experts(size)

    def forward(self, x: Tensor) -> Tensor:
        """Computes (b, s, d) -> (b, s, d)."""
        tokens = x.flatten(0, 1)
        scores = self.router(tokens)
        probabilities = scores.detach().float().softmax(-1)
        experts = (probabilities + self.bias).topk(self.chosen).indices
        best = scores.gather(1, experts)
        order = experts.flatten().argsort(stable=True)
        counts = torch.bincount(experts.flatten(), minlength=scores.shape[1])
        answers = self.experts(tokens[order // self.chosen], counts)[order.argsort()].unflatten(0, experts.shape)
        weights = best.float().softmax(-1).type_as(answers)
        summed: Tensor = (answers * weights.unsqueeze(-1)).sum(1).view_as(x)
        return summed

    @torch.no_grad()
    def balance(self, loads: Tensor) -> None:
        """Makes experts with less than the mean load likelier, those with more less likely.

        Args:
            loads: (e,), int64: how many tokens of a step each expert got.
        """
        # In whole numbers: every process, whatever it was told first, finds the same sign.
        self.bias += self.balance_rate * (loads.sum() - len(loads) * loads).sign()


class Block(nn.Module):
    """One layer: attention and feed-forward network, each after a norm and around a residual."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(size.width, eps=1e-5)
        self.attention = Attention(size)
        self.feed_forward_norm = nn.RMSNorm(size.width, eps=1e-5)
        self.feed_forward = MixtureOfExperts(size) if size.experts else FeedForward(size)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Computes (b, s, d) -> (b, s, d)."""
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        summed: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return summed


class Decoder(nn.Module):
    """Bytes in, logits of the next byte out. A pipeline stage is the same class with modules missing."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.head_width, self.rope_base = size.head_width, size.rope_base
        self.embedding: nn.Embedding | None = nn.Embedding(CLASSES, size.width)
        self.blocks = nn.ModuleDict({str(index): Block(size) for index in range(size.layers)})
        self.norm: nn.RMSNorm | None = nn.RMSNorm(size.width, eps=1e-5)
        self.head: nn.Linear | None = nn.Linear(size.width, CLASSES, bias=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Logits.

        Args:
            x: bytes (b, s) of any integer type, or a previous stage's output (b, s, d).
            positions: where in the sequence the bytes are, (b, s); None: from the start.

        Returns:
            (b, s, 256), or (b, s, d) of a stage that is not the last.
        """
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        cosine, sine = rotation(positions, self.head_width, self.rope_base)
        if self.embedding is not None:
            x = self.embedding(x.long())
        for block in self.blocks.values():
            x = block(x, cosine, sine)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.head is None else self.head(x)


def rotation(positions: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles, (b, s) -> twice (b, s, w). Computed where needed rather than kept in
    a buffer: it costs next to nothing beside a layer, and a stage or a shard has nothing to keep in step."""
    wavelengths = base ** (torch.arange(0, head_width, 2, device=positions.device) / head_width)
    angles = positions.unsqueeze(-1) / wavelengths
    both = torch.cat((angles, angles), dim=-1)
    return both.cos(), both.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021, "RoFormer", section 3.4; halves paired as in GPT-NeoX and in
    Hugging Face's Llama): (b, h, s, w) -> the same shape and type."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cosine.unsqueeze(1) + turned * sine.unsqueeze(1)).type_as(x)
