"""Model FLOPs utilisation: the share of its devices' peak that a run computes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.training.config.parallel_dims import Precision


@dataclass(frozen=True, slots=True)
class Peak:
    """Most floating-point operations per second of one device, in units of 10¹².

    Attributes:
        bfloat16: tensor cores, dense (data sheets print twice that, "with sparsity").
        float32: without TF32, which torch leaves off for matrices.
    """

    bfloat16: float
    float32: float


PEAKS: tuple[tuple[str, Peak], ...] = (
    (r"B200", Peak(2250, 75)),
    (r"H200 NVL", Peak(835.5, 60)),
    (r"H200", Peak(989.5, 67)),
    (r"H100 NVL", Peak(835.5, 60)),
    (r"H100 PCIe", Peak(756, 51)),
    (r"H100", Peak(989.5, 67)),
    (r"A100", Peak(312, 19.5)),
    (r"L40S", Peak(362, 91.6)),
    (r"L4", Peak(121, 30.3)),
)
"""Words of the name that the driver gives a device, the more particular before the others, and NVIDIA's data sheet
(nvidia.com/en-us/data-center, the product's page). An H100 or H200 of no other kind is the SXM module."""


def peak_flops(device_name: str, precision: Precision) -> float | None:
    """Operations per second that a device could do, or None where that is not known.

    Args:
        device_name: as ``torch.cuda.get_device_name`` gives it, such as ``NVIDIA H100 80GB HBM3``.
    """
    for words, peak in PEAKS:
        # Whole words: the driver joins more to some ("A100-SXM4-80GB"), and a GB200 is another device than a B200.
        if re.search(rf"\b{words}\b", device_name):
            return (peak.bfloat16 if precision == "bfloat16" else peak.float32) * 1e12
    return None


def utilisation(flops_per_s: float, device_name: str, precision: Precision, workers: int) -> float | None:
    """Model FLOPs utilisation (Chowdhery et al. 2022, "PaLM", appendix B), a share from 0 to 1.

    Args:
        flops_per_s: the model's operations (``ParallelPlan.flops_per_row`` × rows) per second, all workers together.
        device_name: of every worker's device.

    Returns:
        None for a CPU, and for a device whose peak is not known.
    """
    peak = peak_flops(device_name, precision)
    return None if peak is None else flops_per_s / (peak * workers)
