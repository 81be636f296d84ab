"""The verb ``status``: the readiness of everything, and the reason where something is not ready."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, TextIO

import typer
from rich.console import Console

from cluster.kube.connection import connect, namespace_of, platform_namespace
from cluster.kube.errors import ApiError, KubeError, MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.observer import Kind
from cluster.kube.options import Access, Context, Kubeconfig, Namespace, Sets, errors_as_json
from cluster.kube.reader import Reader
from cluster.kube.render import render
from cluster.kube.snapshot import EVENTS, POD, Snapshot
from cluster.kube.status_report import StatusReport, headline, lines, status_report, view

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

EVERY_S = 5.0
"""Seconds between two reports of --watch."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def status(
    overlay: Annotated[str | None, typer.Argument(help="Only what these manifests hold.", show_default=False)] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat it until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object; with --watch one a line for each change.")
    ] = False,
    sets: Sets = [],  # noqa: B006  (typer copies it)
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Show how everything is, and why it is not ready.

    One table: each object, Ray group, Serve application and pod that is not ready, with its state and the reason
    (from its conditions and warnings), errors first, and the warnings of the last hour. A Ray worker that runs and
    lacks only a Serve proxy, as one that trains, counts as ready.

    Without OVERLAY these are the objects with the label app.kubernetes.io/part-of=tidegate and what the operator has
    made of them; with OVERLAY the objects of these manifests, also those that are missing. The exit code is 0 only if
    all are ready; jobs (RayJob, Workload) are shown and not counted. An optional kind that the account may not see,
    such as Gateway or Event, is named and not counted, but an object of OVERLAY that cannot be seen is. --watch shows
    the table again on a terminal, and elsewhere the lines that have changed.
    """
    access = Access(kubeconfig, context, namespace)
    with errors_as_json(as_json):
        kube = connect(kubeconfig, context)
        where = namespace_of(access) if overlay else platform_namespace(kube, access)
        keys = _keys(kube.is_namespaced, render(overlay, sets, namespace), where) if overlay else None
        # Where the manifests say where they are, their pods are there, too, whatever the context's namespace is.
        where = next((key.namespace for key in keys or () if key.namespace), where)
        if watch:
            return watch_status(kube, where, keys, as_json=as_json)
        report = observe_once(kube, where, keys)
        show(report, kube.server, as_json=as_json)
        return 0 if report.ready else 1


def _keys(is_namespaced: Callable[[str, str], bool], objects: list[Object], namespace: str) -> list[Key]:
    keys = []
    for obj in objects:
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
    every_s: float = EVERY_S,
) -> int:
    """Repeat the report until Ctrl-C; what has not changed is printed again on a terminal only.

    Returns:
        0 if all were ready at the end, else 1.
    """
    out, printed, ready = stream or sys.stdout, list[str](), False
    console = _console(out)
    with suppress(KeyboardInterrupt):
        while True:
            report = observe_once(kube, namespace, keys)
            ready, new = report.ready, [headline(report), *lines(report)]
            if as_json and new != printed:
                print(json.dumps(asdict(report)), file=out, flush=True)
            elif console.is_terminal and not as_json:
                console.clear()
                console.print(view(report, kube.server))
            elif not as_json:
                at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
                subjects = {line.partition(": ")[0] for line in [*new, *printed[:1]]}
                gone = [line.partition(": ")[0] for line in printed if not line.startswith("warning ")]
                changed = [line for line in new if line not in printed]
                changed += [f"{subject}: ready or gone" for subject in gone if subject not in subjects]
                print("".join(f"{at}  {line}\n" for line in changed), end="", file=out, flush=True)
            printed = new
            time.sleep(every_s)
    return int(not ready)


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
