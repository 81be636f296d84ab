"""The verbs of ``tidegate kube`` that speak of Kubernetes, and what they have in common."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cluster.kube.errors import KubeError

Verbs = argparse._SubParsersAction

INTERRUPTED = 130
Say = Callable[[str], None]
NOBODY_READS = 141
"""As a process that SIGPIPE has ended: ``| head`` has seen enough."""


def add_access(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster is meant; left out, it is the one that kubectl would take."""
    group = parser.add_argument_group("which cluster", "as kubectl finds it; inside a pod, the pod's own")
    group.add_argument("--kubeconfig", type=Path, metavar="FILE", help="(default: KUBECONFIG, else ~/.kube/config)")
    group.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    group.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        help="where the platform is (default: where the manifests say, else the context, else tidegate; status, "
        "scale and logs, which may have no manifests, take tidegate where only that one has a RayService tidegate)",
    )


def to_stdout(text: str) -> None:
    """Print what a person reads while it is made, also through a pipe (a CI job's log)."""
    print(text, flush=True)


def to_stderr(text: str) -> None:
    """Print what a person reads where stdout has a document."""
    print(text, file=sys.stderr)


def run(verb: Callable[[argparse.Namespace], int], options: argparse.Namespace, *, failed: int = 1) -> int:
    """Run a verb; an error of ours is printed as its sentence and gives its exit code.

    With ``--json`` the error is printed on stdout as well: a document with ``error``, and what was done before it.

    Args:
        failed: The exit code in the place of 1, for a verb whose 1 means something else.
    """
    try:
        code = _run(verb, options, failed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends, which would fail again and be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    return code


def _run(verb: Callable[[argparse.Namespace], int], options: argparse.Namespace, failed: int) -> int:
    try:
        return verb(options)
    except KubeError as error:
        code = failed if error.exit_code == 1 else error.exit_code
        print(error, file=sys.stderr)
        done, said, name = error.done, str(error), type(error).__name__
    except KeyboardInterrupt:
        code = INTERRUPTED
        print("interrupted", file=sys.stderr)
        done, said, name = {}, "interrupted", "KeyboardInterrupt"
    if getattr(options, "json", False):
        print(json.dumps({**done, "error": {"type": name, "message": said, "exitCode": code}}))
    return code
