"""What the loss of Ray's head costs: requests, deploys, actors and a training run while it is away and comes back."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the scenario and print."""
    # Late: the processes of the scenario import this package for one module of it.
    from jobs.bench.head_loss.command import main as command

    return command(argv)
