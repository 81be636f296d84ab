"""What a read of online features costs its client, beside a naive one and Feast's."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Measure and print."""
    # Late: the Python that has Feast imports this package for its own loop, and has none of our dependencies.
    from jobs.bench.features.command import main as command

    return command(argv)
