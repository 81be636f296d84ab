"""The verbs of ``python -m cluster`` that speak of Kubernetes, and what they have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cluster.kube.errors import KubeError

Verbs = argparse._SubParsersAction

INTERRUPTED = 130


def add_access(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster is meant; left out, it is the one that kubectl would take."""
    group = parser.add_argument_group("which cluster", "as kubectl finds it; inside a pod, the pod's own")
    group.add_argument("--kubeconfig", type=Path, metavar="FILE", help="(default: KUBECONFIG, else ~/.kube/config)")
    group.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    group.add_argument("-n", "--namespace", metavar="NAME", help="where the platform is (default: tidegate)")


def run(verb: Callable[[argparse.Namespace], int], options: argparse.Namespace, *, failed: int = 1) -> int:
    """Run a verb; an error of ours is printed as its sentence and gives its exit code.

    Args:
        failed: The exit code in the place of 1, for a verb whose 1 means something else.
    """
    try:
        return verb(options)
    except KubeError as error:
        print(error, file=sys.stderr)
        return failed if error.exit_code == 1 else error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
