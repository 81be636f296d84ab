"""The verb ``train``: a training job on the cluster that serves, as a RayJob."""

from __future__ import annotations

import copy
import json
import re
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from cluster.kube.connection import SERVICE, connect, namespace_of
from cluster.kube.driver_resources import check_driver
from cluster.kube.errors import DeadlineError, ExistsError, KubeError, UsageError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.observer import Kind, Observer
from cluster.kube.options import (
    Access,
    Context,
    Json,
    Kubeconfig,
    Namespace,
    Sets,
    duration,
    errors_as_json,
)
from cluster.kube.output import Say, to_stderr, to_stdout
from cluster.kube.overlays import MANIFESTS
from cluster.kube.reader import Reader
from cluster.kube.readiness import Readiness, readiness
from cluster.kube.render import render
from cluster.kube.sets import IMAGE, check_name
from cluster.kube.snapshot import EVENTS, POD

OVERLAY = "training-job"
OVERLAY_IN_MESH = "mesh-training-job"
SIDECAR = "sidecar.istio.io/inject"
FOLLOW_S = 86_400.0
LONGEST_NAME = 47
"""The operator refuses a RayJob with a longer one."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Submitter(Reader, Protocol):
    """An API server that also takes a new object."""

    def create(self, obj: Object) -> Object:
        """POST it; ``ExistsError`` where there is one of its name."""


@app.command()
def train(
    entrypoint: Annotated[
        list[str], typer.Argument(metavar="-- ENTRYPOINT", help="The job's command. Default: that of the overlay.")
    ] = [],  # noqa: B006  (typer copies it)
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the RayJob. Default: train- and the time.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print its states until it is done.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Of --follow. Default: 1d.", show_default=False),
    ] = None,
    as_json: Json = False,
    sets: Sets = [],  # noqa: B006
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
) -> int:
    """Run a training job on the cluster that serves.

    It makes a RayJob of the overlay training-job on the active cluster of the RayService and prints how to follow it.

    With a --name that is there already nothing is made: the same job is followed, and another entrypoint is refused.
    With --follow the exit code is 0 only if the job completes. The submitter's pod has the image of the platform's
    head, unless --set image=… names another.

    Where no worker group may have the driver's entrypointResources (the overlay kueue closes the group training) the
    job is refused: there tidegate kube up kueue-training-job makes a run with a cluster of its own.

    ```
    tidegate kube train -- python -m jobs.train --config flights-online
    tidegate kube train --name nightly --follow -- python -m jobs.train --config flights-online
    tidegate kube train --name nightly --follow      the one that runs
    ```
    """
    with errors_as_json(as_json):
        if timeout is not None and not follow:
            raise UsageError("--timeout bounds what --follow waits for; give both, or neither")
        kube = connect(kubeconfig, context)
        where = _namespace(Access(kubeconfig, context, namespace), sets)
        name = name or f"train-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        say = to_stderr if as_json else to_stdout
        job = submit(kube, where, name, shlex.join(entrypoint), sets, say=say)
        say(f"logs:    tidegate kube logs {name} -n {where} -f")
        say(f"end it:  kubectl delete rayjob {name} -n {where}")
        if follow:
            try:
                found = follow_job(kube, key_of(job), time.monotonic() + (timeout or FOLLOW_S), say)
            except KubeError as error:
                error.done = _document(job)
                raise
        else:
            say(f"follow:  tidegate kube train --name {name} -n {where} --follow")
            found = readiness(job)
        if as_json:
            print(json.dumps({**_document(job), "state": found.state, "why": found.why}))
        return 1 if follow and found.state != "ready" else 0


def _namespace(access: Access, sets: list[str]) -> str:
    """The namespace of ``-n``, else where the manifests (and ``--set namespace=``) put the job and the platform."""
    if access.namespace:
        return access.namespace
    moved = [each for each in sets if each.startswith("namespace=")]
    jobs = [key_of(obj) for obj in render(OVERLAY, moved) if obj["kind"] == "RayJob"]
    return next((key.namespace for key in jobs if key.namespace), None) or namespace_of(access)


def submit(
    kube: Submitter,
    namespace: str,
    name: str,
    entrypoint: str,
    sets: list[str],
    *,
    manifests: Path = MANIFESTS,
    say: Say = to_stdout,
) -> Object:
    """Creates the RayJob, or finds the one that has this name already.

    Args:
        kube: The API server.
        namespace: Where the platform is.
        name: The RayJob's.
        entrypoint: The job's command; empty for that of the overlay, or of the job that is there.
        sets: ``--set`` options.
        manifests: The folder with the overlay.
        say: Called with a line about what was done.

    Raises:
        UsageError: the name is none, is taken by a job with another entrypoint, there is no RayService, or none
            of its groups may have the resources that the job's driver asks for.
        KubeError: the RayService has no active cluster.
    """
    check_name(name, LONGEST_NAME)
    if renamed := next((each for each in sets if each.startswith("job=")), None):
        raise UsageError(f"--set {renamed}: the RayJob's name is given by --name")
    key = Key("ray.io/v1", "RayJob", name, namespace)
    if found := kube.find(key):
        return _same(found, entrypoint)
    service = the_service(kube, namespace)
    overlay = OVERLAY_IN_MESH if in_mesh(service) else OVERLAY
    job = job_of(render(overlay, sets, namespace, manifests=manifests), name, entrypoint, active_cluster(service))
    if not any(each.startswith("image=") for each in sets):
        _take_image(job, service)
    check_driver(job, service)
    try:
        made = kube.create(job)
    except ExistsError:
        return _same(kube.find(key) or job, entrypoint)
    say(f"{key} was made, on cluster {job['spec']['clusterSelector']['ray.io/cluster']}: {job['spec']['entrypoint']}")
    return made


def the_service(kube: Reader, namespace: str) -> Object:
    """The platform's RayService.

    Raises:
        UsageError: there is none.
    """
    service = kube.find(Key("ray.io/v1", "RayService", SERVICE, namespace))
    if service is None:
        raise UsageError(f"there is no RayService {SERVICE} in namespace {namespace}; -n names another")
    return service


def in_mesh(service: Object) -> bool:
    """True where the head has a sidecar: a job's pods without one could not connect to it."""
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    return ((head.get("metadata") or {}).get("labels") or {}).get(SIDECAR) == "true"


def active_cluster(service: Object) -> str:
    """The name of the RayCluster that answers.

    Raises:
        KubeError: it has no active cluster.
    """
    active = (service.get("status") or {}).get("activeServiceStatus") or {}
    if name := active.get("rayClusterName"):
        return str(name)
    raise KubeError(f"{key_of(service)} has no active cluster: {readiness(service).why}")


def job_of(objects: list[Object], name: str, entrypoint: str, cluster: str) -> Object:
    """The RayJob among ``objects``, on ``cluster``.

    Raises:
        UsageError: there is not exactly one, or no entrypoint.
    """
    jobs = [obj for obj in objects if obj["kind"] == "RayJob"]
    if len(jobs) != 1:
        raise UsageError(f"the overlay {OVERLAY} has {len(jobs)} RayJobs; one is needed")
    job = copy.deepcopy(jobs[0])
    job["metadata"]["name"] = name
    spec = job["spec"]
    spec.pop("rayClusterSpec", None)  # one of the two; the cluster that serves has the room and the autoscaler
    spec["clusterSelector"] = {"ray.io/cluster": cluster}
    spec["entrypoint"] = entrypoint or spec.get("entrypoint") or ""
    if not spec["entrypoint"]:
        raise UsageError("an entrypoint is missing: tidegate kube train -- python -m jobs.train …")
    return job


def _take_image(job: Object, service: Object) -> None:
    """The image that the platform runs, in the place of the manifests' own: that one is only a name to replace."""
    image = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    for container in job["spec"]["submitterPodTemplate"]["spec"]["containers"]:
        if re.split("[:@]", container["image"])[0] == IMAGE:
            container["image"] = image


def follow_job(kube: Reader, key: Key, deadline: float, say: Say = to_stdout) -> Readiness:
    """Print every change of the job's state until it is done.

    Returns:
        Its last state: ``ready`` if it completed, ``failed`` if not.

    Raises:
        KubeError: it was deleted meanwhile.
        DeadlineError: it was not done by ``deadline`` (``time.monotonic()``).
    """
    kinds = [Kind(key.api_version, key.kind, key.namespace), Kind(*POD, key.namespace)]
    kinds.append(Kind(*EVENTS, key.namespace, needed=False))
    printed, seen = "", False
    with Observer(kube, kinds, deadline) as observer:
        for snapshot, _ in observer.snapshots():
            found, there = snapshot.readiness(key), key in snapshot.objects
            if seen and not there:
                raise KubeError(f"{key} was deleted before it was done; it was last {printed}")
            seen = seen or there
            line = f"{found.state}: {found.why}"
            if there and line != printed:
                printed = line
                say(f"{datetime.now(UTC).astimezone():%H:%M:%S}  {line}")
            if found.state == "ready" or (found.state == "failed" and found.final):
                return found
            if time.monotonic() >= deadline:
                raise DeadlineError(f"{key} is not done in time; it continues, and is {printed or 'not there'}")
    raise AssertionError("snapshots do not end")


def _document(job: Object) -> dict[str, Any]:
    key, spec = key_of(job), job["spec"]
    cluster = (spec.get("clusterSelector") or {}).get("ray.io/cluster")
    where = {"namespace": key.namespace, "name": key.name, "cluster": cluster}
    return {"job": {**where, "entrypoint": spec.get("entrypoint")}}


def _same(found: Object, entrypoint: str) -> Object:
    there = found["spec"].get("entrypoint", "")
    if entrypoint and entrypoint != there:
        raise UsageError(
            f"{key_of(found)} is there with another entrypoint ({there}); give another --name, or delete it first"
        )
    to_stderr(f"{key_of(found)} is there already: {readiness(found).why or 'no state yet'}")
    return found
