"""``python -m cluster status``: how everything is, and why it is not ready where it is not."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live

from cluster.kube.board import Board, board
from cluster.kube.board_view import headline, lines, view
from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, namespace_of, platform_namespace
from cluster.kube.errors import ApiError, KubeError, MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.observer import Kind, Observer
from cluster.kube.reader import Reader
from cluster.kube.render import render
from cluster.kube.snapshot import EVENTS, POD, Snapshot
from cluster.kube.verbs.render import add_sets

NEEDED = (
    ("ray.io/v1", "RayService"),
    ("ray.io/v1", "RayCluster"),
    ("ray.io/v1", "RayJob"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("v1", "PersistentVolumeClaim"),
    POD,
)
"""What the platform cannot be judged without."""

WHERE_THERE = (
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    EVENTS,
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"),
    ("kueue.x-k8s.io/v1beta2", "Workload"),
)
"""What is left out where the server has no such kind; where we may not see it, that is told and not judged by."""

TICK_S = 30.0
WATCH_S = 30 * 86_400.0

DESCRIPTION = """\
Show how everything is: each object with its state and why (from its conditions and warnings), the Ray groups, the
Serve applications, the pods that are not ready, and the warnings of the last hour. What is wrong comes first. A Ray
worker that runs and lacks only a Serve proxy, as one that trains, counts as ready.

Without OVERLAY it is what carries the label app.kubernetes.io/part-of=tidegate and what the operator has made of it;
with OVERLAY it is the objects of these manifests, and one that is missing is told, too. The exit status is 0 only if
all are ready; jobs (RayJob, Workload) are shown and not counted. That the account may not see an optional kind, such
as Gateway or Event, is told and not counted, but an object of OVERLAY that cannot be seen is. --watch follows changes
until Ctrl-C, as a view on a terminal and elsewhere as lines.
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "status",
        help="how everything is, and why",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overlay", nargs="?", metavar="OVERLAY", help="only what these manifests hold")
    parser.add_argument("--watch", action="store_true", help="follow changes until Ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object, with --watch one a line for each change"
    )
    add_sets(parser)
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_status, options))


def _status(options: argparse.Namespace) -> int:
    kube = connect(options.kubeconfig, options.context)
    namespace = namespace_of(options) if options.overlay else platform_namespace(kube, options)
    keys = _keys(kube.is_namespaced, options, namespace) if options.overlay else None
    # Where the manifests say where they are, their pods are there, too, whatever the context's namespace is.
    namespace = next((key.namespace for key in keys or () if key.namespace), namespace)
    if options.watch:
        return watch_status(kube, namespace, keys, as_json=options.json)
    found = look(kube, namespace, keys)
    show(found, kube.server, as_json=options.json)
    return 0 if found.ready else 1


def _keys(is_namespaced: Callable[[str, str], bool], options: argparse.Namespace, namespace: str) -> list[Key]:
    keys = []
    for obj in render(options.overlay, options.sets, options.namespace):
        key = key_of(obj)
        try:
            namespaced = is_namespaced(key.api_version, key.kind)
        except MissingKindError:
            namespaced = key.namespace is not None  # that it is not there is told in its row
        keys.append(Key(key.api_version, key.kind, key.name, (key.namespace or namespace) if namespaced else None))
    return keys


def look(kube: Reader, namespace: str, keys: list[Key] | None) -> Board:
    """One look: the kinds listed one after another."""
    objects: list[Object] = []
    unseen, refused = [], []
    for kind in _kinds(namespace, keys):
        try:
            objects += kube.list(kind.api_version, kind.kind, kind.namespace)
        except (MissingKindError, PermissionDeniedError) as error:
            if kind.needed:
                unseen.append(f"{kind.kind}: {_first_line(error)}")
            elif isinstance(error, PermissionDeniedError):
                refused.append(f"{kind.kind}: {_first_line(error)}")
    snapshot = Snapshot.of(objects)
    return board(snapshot, snapshot.platform() if keys is None else keys, namespace, tuple(unseen), tuple(refused))


def show(found: Board, server: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Print the board, as a table or as JSON."""
    out = stream or sys.stdout
    if as_json:
        print(json.dumps(asdict(found), indent=2), file=out)
    else:
        _console(out).print(view(found, server))


def watch_status(
    kube: Reader,
    namespace: str,
    keys: list[Key] | None,
    *,
    as_json: bool,
    stream: TextIO | None = None,
    deadline: float | None = None,
) -> int:
    """Follow until Ctrl-C, or until ``deadline`` (``time.monotonic()``).

    Returns:
        0 if all were ready at the end, else 1.
    """
    out = stream or sys.stdout
    deadline = time.monotonic() + WATCH_S if deadline is None else deadline
    console, found = _console(out), None
    told: list[str] = []
    live = Live(console=console, auto_refresh=False, screen=False) if console.is_terminal and not as_json else None
    try:
        with Observer(kube, _kinds(namespace, keys), deadline) as observer:
            if live:
                live.start()
            for snapshot, again in observer.snapshots():
                refused = tuple(
                    f"{kind.kind}: {_first_line(error)}"
                    for kind, error in observer.refused().items()
                    if not isinstance(error, MissingKindError)
                )
                found = board(snapshot, snapshot.platform() if keys is None else keys, namespace, refused=refused)
                again.at = time.monotonic() + TICK_S  # ages grow
                if live:
                    live.update(view(found, kube.server), refresh=True)
                else:
                    told = _tell(found, told, out, as_json=as_json)
                if time.monotonic() >= deadline:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        if live:
            live.stop()
    return 0 if found is not None and found.ready else 1


def _tell(found: Board, told: list[str], out: TextIO, *, as_json: bool) -> list[str]:
    new = [headline(found), *lines(found)]
    if new == told:
        return told
    if as_json:
        print(json.dumps(asdict(found)), file=out, flush=True)
        return new
    at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
    for line in new:
        if line not in told:
            print(f"{at}  {line}", file=out, flush=True)
    for line in told[1:]:
        subject = line.partition(": ")[0]
        if not line.startswith("warning ") and not any(each.startswith(f"{subject}: ") for each in new):
            print(f"{at}  {subject}: ready or gone", file=out, flush=True)
    return new


def _kinds(namespace: str, keys: list[Key] | None) -> Iterable[Kind]:
    kinds = [Kind(*each, namespace) for each in NEEDED]
    if keys is None:
        return [*kinds, *(Kind(*each, namespace, needed=False) for each in WHERE_THERE)]
    kinds.append(Kind(*EVENTS, namespace, needed=False))
    known = {(kind.api_version, kind.kind) for kind in kinds}
    wanted = dict.fromkeys((key.api_version, key.kind, key.namespace) for key in keys)
    return [*kinds, *(Kind(*each, needed=False) for each in wanted if each[:2] not in known)]


def _first_line(error: KubeError) -> str:
    return (error.message if isinstance(error, ApiError) else str(error)).splitlines()[0]


def _console(out: TextIO) -> Console:
    return Console(file=out, width=None if out.isatty() else 200, highlight=False)
