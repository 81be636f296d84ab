"""Kubernetes' quantities: ``500m``, ``2Gi``, ``1e3`` (k8s.io/apimachinery/pkg/api/resource)."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from typing import Any

from cluster.kube.reading import mapping

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?"
)
_DECIMAL = {
    unit: Fraction(10) ** power for unit, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_BINARY = {f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}
_SCALES = _DECIMAL | _BINARY


def parse(value: Any) -> Fraction:
    """The quantity as a number of its unit (cores, bytes, devices).

    Raises:
        ValueError: not a quantity.
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is no quantity; 500m, 2, 1.5 and 4Gi are")
    return Fraction(found[1]) * Fraction(f"1{found[2]}" if found[2] else 1) * _SCALES.get(found[3] or "", Fraction(1))


def amounts(values: Any) -> dict[str, Fraction]:
    """A list of resources with their quantities; one that is none is left out, as the server refuses it anyway."""
    found = {}
    for name, value in mapping(values).items():
        with suppress(ValueError):
            found[name] = parse(value)
    return found


def show(resource: str, amount: Fraction) -> str:
    """For a person: memory and storage in Gi, all else as a plain number."""
    if resource.endswith(("memory", "storage")):
        return f"{float(amount / 1024**3):.4g}Gi"
    return f"{float(amount):g}"
