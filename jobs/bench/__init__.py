"""Benchmarks: ``python -m jobs.bench NAME``. ``harness`` is what they share; a folder each holds what is measured."""
