"""The verb ``status``: the readiness of everything, and the reason where something is not ready."""

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

from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, namespace_of, platform_namespace
from cluster.kube.errors import ApiError, KubeError, MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.observer import Kind, Observer
from cluster.kube.reader import Reader
from cluster.kube.render import render
from cluster.kube.snapshot import EVENTS, POD, Snapshot
from cluster.kube.status_report import StatusReport, headline, lines, status_report, view
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
"""Kinds that are needed to judge the platform."""

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
"""Kinds that are left out where the server lacks them; where the account may not see them, the report says so."""

TICK_S = 30.0
WATCH_S = 30 * 86_400.0

DESCRIPTION = """\
Show one table: each object, Ray group, Serve application and pod that is not ready, with its state and the reason
(from its conditions and warnings), errors first, and the warnings of the last hour. A Ray worker that runs and lacks
only a Serve proxy, as one that trains, counts as ready.

Without OVERLAY these are the objects with the label app.kubernetes.io/part-of=tidegate and what the operator has made
of them; with OVERLAY the objects of these manifests, also those that are missing. The exit status is 0 only if all
are ready; jobs (RayJob, Workload) are shown and not counted. An optional kind that the account may not see, such as
Gateway or Event, is named and not counted, but an object of OVERLAY that cannot be seen is. --watch repeats it until
Ctrl-C: on a terminal the table after each change, elsewhere the lines that have changed.
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "status",
        help="show how everything is, and why it is not ready",
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
    report = observe_once(kube, namespace, keys)
    show(report, kube.server, as_json=options.json)
    return 0 if report.ready else 1


def _keys(is_namespaced: Callable[[str, str], bool], options: argparse.Namespace, namespace: str) -> list[Key]:
    keys = []
    for obj in render(options.overlay, options.sets, options.namespace):
        key = key_of(obj)
        try:
            namespaced = is_namespaced(key.api_version, key.kind)
        except MissingKindError:
            namespaced = key.namespace is not None  # its row says that it is not there
        keys.append(Key(key.api_version, key.kind, key.name, (key.namespace or namespace) if namespaced else None))
    return keys


def observe_once(kube: Reader, namespace: str, keys: list[Key] | None) -> StatusReport:
    """The report of one look: the kinds are listed one after another."""
    objects: list[Object] = []
    not_seen, refused = [], []
    for kind in _kinds(namespace, keys):
        try:
            objects += kube.list(kind.api_version, kind.kind, kind.namespace)
        except (MissingKindError, PermissionDeniedError) as error:
            if kind.needed:
                not_seen.append(f"{kind.kind}: {_first_line(error)}")
            elif isinstance(error, PermissionDeniedError):
                refused.append(f"{kind.kind}: {_first_line(error)}")
    snapshot = Snapshot.of(objects)
    keys = snapshot.platform() if keys is None else keys
    return status_report(snapshot, keys, namespace, tuple(not_seen), tuple(refused))


def show(report: StatusReport, server: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Print the report, as tables or as JSON."""
    if as_json:
        print(json.dumps(asdict(report), indent=2), file=stream or sys.stdout)
    else:
        _console(stream or sys.stdout).print(view(report, server))


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
    console, report = _console(out), None
    printed: list[str] = []
    try:
        with Observer(kube, _kinds(namespace, keys), deadline) as observer:
            for snapshot, again in observer.snapshots():
                refused = tuple(
                    f"{kind.kind}: {_first_line(error)}"
                    for kind, error in observer.refused().items()
                    if not isinstance(error, MissingKindError)
                )
                meant = snapshot.platform() if keys is None else keys
                report = status_report(snapshot, meant, namespace, refused=refused)
                again.at = time.monotonic() + TICK_S  # ages grow
                if console.is_terminal and not as_json:
                    console.clear()
                    console.print(view(report, kube.server))
                else:
                    printed = _print_changes(report, printed, out, as_json=as_json)
                if time.monotonic() >= deadline:
                    break
    except KeyboardInterrupt:
        pass
    return 0 if report is not None and report.ready else 1


def _print_changes(report: StatusReport, printed: list[str], out: TextIO, *, as_json: bool) -> list[str]:
    new = [headline(report), *lines(report)]
    if as_json and new != printed:
        print(json.dumps(asdict(report)), file=out, flush=True)
    elif not as_json:
        at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        subjects = {line.partition(": ")[0] for line in new}
        gone = [line.partition(": ")[0] for line in printed[1:] if not line.startswith("warning ")]
        for line in [line for line in new if line not in printed]:
            print(f"{at}  {line}", file=out, flush=True)
        for subject in [each for each in gone if each not in subjects]:
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
