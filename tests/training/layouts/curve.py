"""Two runs of the same steps and how far apart they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LOSS_TOLERANCE = 5e-6
NORM_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses over the global batch and gradient norms before clipping, one a step."""

    losses: tuple[float, ...]
    norms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Largest relative differences from the reference. Both are looked at: a wrong gradient scale hides behind AdamW
    in the losses, a wrong loss scale leaves the norms right."""

    loss: float
    norm: float

    @property
    def agrees(self) -> bool:
        """True where both are within tolerance."""
        return self.loss <= LOSS_TOLERANCE and self.norm <= NORM_TOLERANCE


def compare(curve: Curve, reference: Curve) -> Comparison:
    """Returns how far ``curve`` is from ``reference``; nan counts as infinitely far."""
    return Comparison(_worst(curve.losses, reference.losses), _worst(curve.norms, reference.norms))


def _worst(found: tuple[float, ...], wanted: tuple[float, ...]) -> float:
    differences = [abs(one - other) / abs(other) for one, other in zip(found, wanted, strict=True)]
    return max((difference if difference == difference else float("inf") for difference in differences), default=0.0)
