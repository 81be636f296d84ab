"""The named sizes of the decoder."""

from __future__ import annotations

from app.recipes.bytelm.bytelm_decoder import Size

SIZES = {
    "1m": Size(128, 6, 8, 4, 320),
    "10m": Size(320, 8, 8, 4, 896),
    "100m": Size(768, 16, 12, 4, 2048),
    "1b": Size(2048, 16, 32, 8, 8192, 500_000.0),
    "3b": Size(3072, 30, 24, 8, 8192, 500_000.0),
    "8b": Size(4096, 36, 32, 8, 14336, 500_000.0),
    "3m-a1m": Size(128, 6, 8, 4, 144, experts=8, chosen=2, balance_rate=3e-3),
    "7b-a1b": Size(2048, 16, 16, 16, 1024, experts=64, chosen=8, balance_rate=1e-3),
    "46b-a13b": Size(4096, 32, 32, 8, 14336, 1_000_000.0, experts=8, chosen=2, balance_rate=1e-3),
}
"""From a laptop's to the shape of Llama 3 8B; deeper than Llama where a vocabulary of 256 leaves parameters over.

Those with an ``a`` are mixtures of experts, named by all and by active parameters: a laptop's, the shape of OLMoE
(Muennighoff et al. 2024) and that of Mixtral 8x7B (Jiang et al. 2024). Their loads are balanced at the rate of
DeepSeek-V3; the laptop's run has fewer steps, and so a higher one.
"""
