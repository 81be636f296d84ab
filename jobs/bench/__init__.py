"""Benchmarks: ``tidegate bench NAME``. ``harness`` is what they share; a folder each holds what is measured."""

from jobs.ray_environment import prepare_for_ray

prepare_for_ray()  # benchmarks and what they start import Ray
