"""Benchmarks: ``python -m jobs.bench NAME``. Each is a package with ``main(arguments) -> exit code``."""

from jobs.ray_environment import prepare_for_ray

prepare_for_ray()  # benchmarks and what they start import Ray
