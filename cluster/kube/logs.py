"""Logs of a part of the platform, by one ``kubectl logs`` for each of its containers."""

from __future__ import annotations

import difflib
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from cluster.kube.errors import ApiError, UsageError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.reader import Reader
from cluster.kube.render import kubectl
from cluster.kube.sets import SETTINGS
from cluster.kube.snapshot import CLUSTER_LABEL, PART_OF, PLATFORM

AUTOSCALER = "autoscaler"
"""The operator's name of the container beside the head's."""
COMPONENTS = ("mlflow", "redis")
OPERATOR = "operator"
OPERATOR_LABELS = "app.kubernetes.io/name=kuberay-operator"
PARTS = ("head", AUTOSCALER, *COMPONENTS, OPERATOR)
TO_STDERR = "RAY_LOG_TO_STDERR"
MAX_STREAMS = 40
"""Containers that are followed at once: each has a process of its own."""
MAX_FAILURES = 5
"""Connections in succession that end soon, after which a container is not read any more."""
RELIST_S = 10.0
"""Seconds after which a container whose connection was lost is read again."""

_GROUP = "ray.io/group"


def print_logs(
    kube: Reader,
    namespace: str,
    part: str | None,
    access: Sequence[str] = (),
    extent: Sequence[str] = (),
    *,
    follow_s: float = 0.0,
    stream: IO[str] | None = None,
) -> int:
    """Print the logs of ``part``; ``None`` is all of the platform.

    Args:
        kube: The API server, which says which pods there are.
        namespace: Namespace of the platform.
        part: One of ``PARTS``, a worker group, a RayJob (its submitter's pod) or a pod.
        access: Options of kubectl that name the server: ``--kubeconfig``, ``--context``.
        extent: Options that say how much is read: ``--tail``, ``--since``, ``--previous``.
        follow_s: Seconds to follow, or until Ctrl-C: restarted containers and new pods are read, too.
        stream: A file in place of stdout.

    Returns:
        0; 1 where a container's log could not be read.

    Raises:
        UsageError: the part means no pod.
        KubeError: the pods cannot be seen.
        BrokenPipeError: the process that reads the output has ended.
    """
    # The operator serves many namespaces from its own, whose name is its installer's choice.
    where, labels = (None, OPERATOR_LABELS) if part == OPERATOR else (namespace, "")
    pods = kube.list("v1", "Pod", where, labels=labels)
    chosen = [(pod, container) for pod in pods if (container := container_of(part, pod))]
    if not chosen and not (follow_s and part is None):  # pods of the platform may come later
        raise UsageError(_no_such_part(part, pods))
    if part not in (AUTOSCALER, *COMPONENTS, OPERATOR):
        _tell_where_ray_logs(kube, namespace)
    sys.stdout.flush()
    if follow_s:
        present = {_run_of(pod, container) for pod, container in chosen}
        changes = _changes(kube, where, labels, time.monotonic() + follow_s)
        return _follow(changes, part, access, {run: extent for run in present if run}, stream)
    prefix = ["--prefix"] if len(chosen) > 1 else []
    failed = False
    for pod, container in chosen:  # one that has not started yet has no log; the others have
        code = subprocess.run(_command(pod, container, access, [*extent, *prefix]), stdout=stream).returncode
        _check_pipe(code)
        failed |= code != 0
    return int(failed)


def container_of(part: str | None, pod: Object) -> str | None:
    """The container that the part means in ``pod``; ``None`` where the pod does not belong to it."""
    labels = pod["metadata"].get("labels") or {}
    containers: list[str] = [each["name"] for each in pod["spec"]["containers"]]
    if part == AUTOSCALER:
        return AUTOSCALER if AUTOSCALER in containers else None
    if part is None:
        ours = labels.get(PART_OF) == PLATFORM or CLUSTER_LABEL in labels
    elif part == "head":
        ours = labels.get("ray.io/node-type") == "head"
    elif part in COMPONENTS:
        ours = labels.get("app.kubernetes.io/component") == part
    else:  # the operator's pods were chosen by their labels
        ours = part in (OPERATOR, labels.get(_GROUP), labels.get("job-name"), pod["metadata"]["name"])
    return containers[0] if ours else None  # Ray runs in the first one


def _changes(kube: Reader, where: str | None, labels: str, deadline: float) -> Iterator[Object]:
    """The pods that are there, then those that change; all of them again every ``RELIST_S``."""
    while (now := time.monotonic()) < deadline:
        until = min(now + RELIST_S, deadline)
        for change, pod in kube.watch("v1", "Pod", where, deadline=until, labels=labels):
            if change != "DELETED":
                yield pod


@dataclass(slots=True)
class _Stream:
    """A ``kubectl logs --follow``, when it began and was last seen alive (``time.monotonic()``), and its failures."""

    process: subprocess.Popen[bytes]
    began_at: float
    alive_at: float
    failures: int = 0


def _follow(
    pods: Iterator[Object],
    part: str | None,
    access: Sequence[str],
    extents: Mapping[str, Sequence[str]],
    stream: IO[str] | None,
) -> int:
    """Reads each run of each container once; runs that are not in ``extents`` are read from their beginning.

    After a lost connection the lines since it was last seen alive come again.
    """
    streams: dict[str, _Stream] = {}
    skipped: set[str] = set()
    try:
        for pod in pods:
            now = time.monotonic()
            for each in streams.values():
                if each.process.poll() is None:
                    each.alive_at = now
                _check_pipe(each.process.returncode)
            container = container_of(part, pod)
            run = container and _run_of(pod, container)
            if not container or not run or run in skipped:
                continue
            extent, failures = extents.get(run, ()), 0
            if old := streams.get(run):
                if old.alive_at == now or "running" not in _state(pod, container):
                    continue
                failures = old.failures + 1 if old.alive_at - old.began_at < RELIST_S else 1
                if failures > MAX_FAILURES:
                    skipped.add(run)
                    print(f"{key_of(pod)} is not read any more: {failures} tries have failed", file=sys.stderr)
                    continue
                extent = [f"--since={math.ceil(now - old.alive_at) + 1}s"]
            elif sum(each.alive_at == now for each in streams.values()) >= MAX_STREAMS:
                skipped.add(run)
                print(f"{key_of(pod)} is not read: {MAX_STREAMS} are followed already", file=sys.stderr)
                continue
            command = _command(pod, container, access, ["--follow", "--prefix", *extent])
            streams[run] = _Stream(subprocess.Popen(command, stdout=stream), now, now, failures)
    except KeyboardInterrupt:
        pass
    finally:
        for each in streams.values():
            each.process.terminate()
    return 0


def _command(pod: Object, container: str, access: Sequence[str], options: Sequence[str]) -> list[str]:
    metadata = pod["metadata"]
    where = ["--namespace", metadata["namespace"], metadata["name"], "--container", container]
    return [kubectl(), "logs", *access, *where, *options]


def _check_pipe(code: int | None) -> None:
    if code == -signal.SIGPIPE:
        raise BrokenPipeError


def _status(pod: Object, container: str) -> dict[str, Any]:
    found = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in found if each["name"] == container), {})


def _state(pod: Object, container: str) -> dict[str, Any]:
    return _status(pod, container).get("state") or {}


def _run_of(pod: Object, container: str) -> str | None:
    """Identity of this run of the container; ``None`` where it has not started."""
    if not _state(pod, container).keys() & {"running", "terminated"}:
        return None
    return f"{pod['metadata'].get('uid')} {container} {_status(pod, container).get('containerID')}"


def _no_such_part(part: str | None, pods: Sequence[Object]) -> str:
    groups = sorted({(pod["metadata"].get("labels") or {}).get(_GROUP) or "" for pod in pods} - {"", "headgroup"})
    names = sorted(pod["metadata"]["name"] for pod in pods)
    close = difflib.get_close_matches(part or "", [*PARTS, *groups, *names], n=1)
    meant = f"; did you mean {close[0]}?" if close and close[0] != part else ""
    return (
        f"no pod belongs to {part or 'the platform'}{meant}\n"
        f"  parts: {', '.join([*PARTS, *groups])}\n  pods: {', '.join(names) or 'none'}"
    )


def _tell_where_ray_logs(kube: Reader, namespace: str) -> None:
    try:
        settings = kube.find(Key("v1", "ConfigMap", SETTINGS, namespace))
    except ApiError:  # an account that may read logs need not have the right to read settings
        return
    if ((settings or {}).get("data") or {}).get(TO_STDERR) != "1":
        print(
            "Ray's processes, replicas and jobs log to /tmp/ray/session_latest/logs in their pods, "
            f"not here (no {TO_STDERR}=1); see --help",
            file=sys.stderr,
        )
