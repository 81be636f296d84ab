"""``python -m cluster``: ``local`` is this machine, the other verbs are some of ``tidegate kube``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cluster.kube.verbs import apply, diff, doctor, down, render
from cluster.local import cli as local

VERBS = (local, doctor, render, diff, apply, down)


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch to the verb's own module; the exit status is the verb's."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster", description="Bring up, inspect and take down what Tidegate runs on."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    options = parser.parse_args(argv)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
