"""Run a benchmark by name.

Exit code: 0 when it holds what it promises, 1 when not or when it could not measure, 2 for wrong arguments.
"""

from __future__ import annotations

import sys

from jobs.bench import harness

BENCHMARKS = {
    "features": ("jobs.bench.features.command", "what a read of online features costs its client, beside Feast"),
    "head-loss": (
        "tests.cluster.head_loss.command",
        "what the loss of Ray's head costs: requests, deploys, a training run",
    ),
    "judge": (
        "tests.releases.judge.simulation.command",
        "false alarms and times to a verdict of the judge, beside other tests on the same samples",
    ),
    "layouts": ("tests.training.layouts.command", "every parallel layout follows the loss curve of one process"),
    "serving": (
        "jobs.bench.serving.command",
        "CPU per request, latency and memory of the gateway, beside other servers on the same model",
    ),
    "training": (
        "jobs.bench.training.command",
        "step times, checkpoint stalls and memory, beside what they are compared with",
    ),
}
"""Module and what it measures, by name. Those in ``tests`` are tests of a clone that print tables, too."""


def main(argv: list[str]) -> int:
    """Hand the rest of the command line to the benchmark that it names."""
    if not argv or argv[0] not in BENCHMARKS:
        names = "\n".join(f"  {name:12} {says}" for name, (_, says) in BENCHMARKS.items())
        asked = bool(argv) and argv[0] in ("-h", "--help")
        print(f"usage: python -m jobs.bench NAME [--help]\n\n{names}", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name, *rest = argv
    return harness.run(name, BENCHMARKS[name][0], rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
