"""``python -m cluster logs``: what containers print."""

from __future__ import annotations

import argparse
import math

from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, platform_namespace
from cluster.kube.durations import seconds
from cluster.kube.errors import UsageError
from cluster.kube.logs import print_logs

FOLLOW_S = 30 * 86_400.0

DESCRIPTION = """\
Print what containers write to their standard output and error, by kubectl logs.

PART is head, autoscaler (the container beside the head's), a worker group, mlflow, redis, operator, a RayJob (its
submitter's pod) or a pod; left out, it is everything of the platform. Lines of several pods carry the pod's name.
With -f restarted containers, new pods and lost connections are followed until Ctrl-C, up to 40 containers at once.

Ray's own processes, Serve's replicas and jobs log to files in their pod, /tmp/ray/session_latest/logs, which the
dashboard and `ray logs` show (`ray job logs ID` shows a job's). They are here only where the pods run with
RAY_LOG_TO_STDERR=1, which can be set by --set when the manifests are applied; then the files lack them.
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "logs",
        help="what containers print",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="?", metavar="PART", help="whose (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "-p", "--previous", action="store_true", help="of the container before the last restart: why it ended"
    )
    parser.add_argument("--since", type=seconds, metavar="TIME", help="not older than this: 30s, 10m, 2h, 1d")
    parser.add_argument("--tail", type=int, metavar="N", help="the last N lines of each (default: all)")
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_logs, options))


def _logs(options: argparse.Namespace) -> int:
    if options.tail is not None and options.tail < 0:
        raise UsageError(f"--tail {options.tail}: 0 or more is accepted")
    if options.previous and options.follow:
        raise UsageError("--previous and --follow: what has ended cannot be followed; one of them is accepted")
    kube = connect(options.kubeconfig, options.context)
    namespace = platform_namespace(kube, options)
    access = [f"--{name}={value}" for name in ("kubeconfig", "context") if (value := getattr(options, name))]
    extent = [] if options.tail is None else [f"--tail={options.tail}"]
    extent += [f"--since={math.ceil(options.since)}s"] if options.since else []
    extent += ["--previous"] if options.previous else []
    return print_logs(kube, namespace, options.part, access, extent, follow_s=FOLLOW_S if options.follow else 0)
