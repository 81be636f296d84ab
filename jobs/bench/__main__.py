"""Run a benchmark by name.

Exit code: that of the benchmark (0 when it holds what it promises, 1 when not), 2 for wrong arguments.
"""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "features": "what a read of online features costs its client, beside Feast",
    "head-loss": "what the loss of Ray's head costs: requests, deploys, a training run",
    "judge": "false alarms and times to a verdict of the judge, beside other tests on the same samples",
    "layouts": "every parallel layout follows the loss curve of one process",
    "serving": "CPU per request, latency and memory of the gateway, beside other servers on the same model",
    "training": "step times, checkpoint stalls and memory, beside what they are compared with",
}


def main(argv: list[str]) -> int:
    """Hand the rest of the command line to the benchmark that it names."""
    if not argv or argv[0] not in BENCHMARKS:
        names = "\n".join(f"  {name:12} {says}" for name, says in BENCHMARKS.items())
        asked = bool(argv) and argv[0] in ("-h", "--help")
        print(f"usage: python -m jobs.bench NAME [--help]\n\n{names}", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    code: int = importlib.import_module(f"jobs.bench.{argv[0].replace('-', '_')}").main(argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
