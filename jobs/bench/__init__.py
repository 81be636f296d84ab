"""Benchmarks: ``python -m jobs.bench NAME``. Each is a package with ``main(arguments) -> exit code``."""
