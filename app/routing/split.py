"""The traffic split: weighted rendezvous hashing. Pure.

For a key, every version draws a uniform number u from a hash of (salt, version, key) and scores
``-weight / ln(u)``; the highest score answers. The draw is an exponential race, so a version wins with exactly
``weight / sum of weights``; the same key always meets the same version; and since a raised weight only raises
that version's own scores, keys move to it and never between the others.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998;
the logarithmic weighting: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

_SCALE = 2.0**-64


def uniform(salt: str, version: str, key: str) -> float:
    """The draw of ``version`` for ``key``: uniform in (0, 1), equal in every process."""
    digest = blake2b(f"{version}\0{key}".encode(), key=salt.encode()[:64], digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) * _SCALE


def rank(weights: Mapping[str, float], salt: str, key: str) -> list[str]:
    """Versions with weight in the order in which they should be asked for ``key``; the first is the pick.

    Args:
        weights: version -> weight, not negative; they need not sum to 1.
        salt: the model's salt; another salt gives an independent split.
        key: what must stay with its version: an entity or the caller's key.

    Returns:
        Every version whose weight is above 0, best score first; empty when none has weight.
    """
    if len(weights) == 1:
        return [version for version, weight in weights.items() if weight > 0]
    scored = sorted(
        ((_score(weight, uniform(salt, version, key)), version) for version, weight in weights.items() if weight > 0),
        reverse=True,
    )
    return [version for _, version in scored]


def pick(weights: Mapping[str, float], salt: str, key: str) -> str | None:
    """The version that answers ``key``, or None when none has weight."""
    ranked = rank(weights, salt, key)
    return ranked[0] if ranked else None


def _score(weight: float, u: float) -> float:
    # A draw that rounds to 1.0 has ln(u) = 0: the highest score there is.
    return -weight / math.log(u) if u < 1.0 else math.inf
