"""Benchmarks: ``tidegate bench NAME``. A folder each holds what is measured: ``serving``, ``features``, ``training``.

They share ``harness`` (a command's options, output and verdict), ``children`` (processes) and ``environments`` (of
servers whose dependencies do not go with ours).
"""

from jobs.ray_environment import prepare_for_ray

prepare_for_ray()  # benchmarks and what they start import Ray
