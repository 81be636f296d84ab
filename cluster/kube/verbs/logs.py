"""``python -m cluster logs``: what containers print."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, platform_namespace
from cluster.kube.durations import seconds
from cluster.kube.errors import ApiError, UsageError
from cluster.kube.log_follower import Extent, LogFollower
from cluster.kube.log_parts import OPERATOR, OPERATOR_LABELS, Part, check_part, short_name
from cluster.kube.manifest import Key
from cluster.kube.reader import Reader
from cluster.kube.sets import SETTINGS

FOLLOW_S = 30 * 86_400.0
TO_STDERR = "RAY_LOG_TO_STDERR"
_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")

DESCRIPTION = """\
Print what containers write to their standard output and error.

PART is head, autoscaler (the container beside the head's), a worker group, mlflow, redis, operator, a RayJob (its
submitter's pod) or a pod; left out, it is everything of the platform. Lines of several pods carry the pod's name, and
with -f restarts, new pods and dropped connections are followed until Ctrl-C. The printer holds the readers up when
it cannot keep pace; after 2 s of that lines are dropped, and told by number.

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
    extent = Extent(options.tail, math.ceil(options.since) if options.since else None)
    kube = connect(options.kubeconfig, options.context)
    namespace = platform_namespace(kube, options)
    part = Part(options.part)
    return print_logs(kube, namespace, part, extent, follow=options.follow, previous=options.previous)


def print_logs(
    kube: Reader,
    namespace: str,
    part: Part,
    extent: Extent,
    *,
    follow: bool = False,
    previous: bool = False,
    stream: TextIO | None = None,
    deadline: float | None = None,
) -> int:
    """Print the logs of ``part``.

    Args:
        kube: The API server.
        namespace: Where the platform is.
        part: Whose.
        extent: How far back.
        follow: Go on until Ctrl-C or ``deadline`` (``time.monotonic()``).
        previous: Of the containers before the present ones.
        stream: In place of stdout.
        deadline: See ``follow``.

    Returns:
        0; 1 where a container's log could not be read.

    Raises:
        UsageError: the part means no pod.
        KubeError: the pods cannot be seen.
    """
    out = stream or sys.stdout
    # The operator serves many namespaces from its own, whose name is its installer's choice.
    where, labels = (None, OPERATOR_LABELS) if part.name == OPERATOR else (namespace, "")
    pods = kube.list("v1", "Pod", where, labels=labels)
    if not (follow and part.name is None):  # what is not there yet may come
        check_part(part, pods)
    if part.is_ray:
        _tell_where_ray_logs(kube, namespace)
    if follow:
        deadline = time.monotonic() + FOLLOW_S if deadline is None else deadline
        return _follow(LogFollower(kube, where, labels, part, extent, deadline), out)
    chosen = [(pod, container) for pod in pods if (container := part.container(pod))]
    show, failed = _printer(out, prefixed=len(chosen) > 1), False
    for pod, container in chosen:
        metadata = pod["metadata"]
        try:
            for line in kube.logs(
                metadata["name"],
                metadata["namespace"],
                container=container,
                tail=extent.tail,
                since_s=extent.since_s,
                previous=previous,
            ):
                show(short_name(pod), line)
        except ApiError as error:  # one that has not started has none: the others have
            print(f"{metadata['name']}: {error.message}", file=sys.stderr)
            failed = True
    return int(failed)


def _follow(follower: LogFollower, out: TextIO) -> int:
    show = _printer(out, prefixed=True)
    try:
        with follower:
            for line in follower.lines():
                if line.note:
                    print(f"{line.source}: {line.text}", file=sys.stderr, flush=True)
                else:
                    show(line.source, line.text)
    except KeyboardInterrupt:
        pass
    if dropped := follower.dropped:
        print(f"{dropped} lines were dropped in all", file=sys.stderr)
    return 0


def _printer(out: TextIO, *, prefixed: bool) -> Callable[[str, str], None]:
    console = Console(file=out, highlight=False, markup=False, soft_wrap=True)
    colors: dict[str, str] = {}

    def show(source: str, text: str) -> None:
        if not prefixed:
            print(text, file=out)
        elif console.is_terminal:
            color = colors.setdefault(source, _COLORS[len(colors) % len(_COLORS)])
            console.print(Text.assemble((f"{source} ", color), text))
        else:
            print(f"{source} {text}", file=out, flush=True)

    return show


def _tell_where_ray_logs(kube: Reader, namespace: str) -> None:
    try:
        settings = kube.find(Key("v1", "ConfigMap", SETTINGS, namespace))
    except ApiError:  # who may read logs need not be let read settings
        return
    if ((settings or {}).get("data") or {}).get(TO_STDERR) != "1":
        print(
            "Ray's processes, replicas and jobs log to /tmp/ray/session_latest/logs in their pods, "
            f"not here (no {TO_STDERR}=1); see --help",
            file=sys.stderr,
        )
