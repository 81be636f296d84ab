"""The named sizes of the decoder."""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = 256
"""Tokens are bytes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Dimensions of a decoder.

    Attributes:
        width: of the residual stream.
        layers: decoder blocks.
        heads: query heads of width ``width / heads``; kv_heads of them have keys and values of their own.
        feed_forward: inner width of a block's feed-forward network.
        rope_base: of the rotary embeddings' wavelengths.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    rope_base: float = 10_000.0

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """How many there are, embedding and head included."""
        attention = 2 * self.width * self.width + 2 * self.width * self.kv_heads * self.head_width
        block = attention + 3 * self.width * self.feed_forward + 2 * self.width
        return self.layers * block + self.width + 2 * CLASSES * self.width


SIZES = {
    "1m": Size(128, 6, 8, 4, 320),
    "10m": Size(320, 8, 8, 4, 896),
    "100m": Size(768, 16, 12, 4, 2048),
    "1b": Size(2048, 16, 32, 8, 8192, 500_000.0),
    "3b": Size(3072, 30, 24, 8, 8192, 500_000.0),
    "8b": Size(4096, 36, 32, 8, 14336, 500_000.0),
}
"""From a laptop's to the shape of Llama 3 8B; deeper than Llama where a vocabulary of 256 leaves parameters over."""
