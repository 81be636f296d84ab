"""Peaks of known devices, and the share of them that a run reaches."""

from __future__ import annotations

import pytest

from app.training.config.parallel_dims import Precision
from app.training.tracking.utilisation import peak_flops, utilisation


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312e12),
        ("NVIDIA A100 80GB PCIe", "float32", 19.5e12),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H100 NVL", "bfloat16", 835.5e12),
        ("NVIDIA H200", "bfloat16", 989.5e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("NVIDIA L40S", "bfloat16", 362e12),
        ("NVIDIA B200", "bfloat16", 2250e12),
        ("NVIDIA L40", "bfloat16", None),
        ("NVIDIA GB200", "bfloat16", None),
        ("cpu", "float32", None),
    ],
)
def test_peak_of_a_device(name: str, precision: Precision, peak: float | None) -> None:
    assert peak_flops(name, precision) == peak


def test_utilisation_is_a_share_of_all_workers_peaks() -> None:
    assert utilisation(312e12, "NVIDIA A100-SXM4-80GB", "bfloat16", 4) == pytest.approx(0.25)
    assert utilisation(1e9, "cpu", "float32", 2) is None
