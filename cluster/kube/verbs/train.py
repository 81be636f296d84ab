"""``python -m cluster train``: a training job on the cluster that serves, as a RayJob."""

from __future__ import annotations

import argparse
import copy
import json
import re
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cluster.kube.cli import Say, Verbs, add_access, run, to_stderr, to_stdout
from cluster.kube.connection import SERVICE, connect, namespace_of
from cluster.kube.driver import check_driver
from cluster.kube.durations import seconds
from cluster.kube.errors import DeadlineError, ExistsError, KubeError, UsageError
from cluster.kube.health import Health, health
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.observer import Kind, Observer
from cluster.kube.overlays import MANIFESTS
from cluster.kube.reader import Reader
from cluster.kube.render import render
from cluster.kube.sets import IMAGE, check_name
from cluster.kube.snapshot import EVENTS, POD
from cluster.kube.verbs.render import add_sets

OVERLAY = "training-job"
OVERLAY_IN_MESH = "mesh-training-job"
SIDECAR = "sidecar.istio.io/inject"
FOLLOW_S = 86_400.0
LONGEST_NAME = 47
"""The operator refuses a RayJob with a longer one."""

DESCRIPTION = """\
Make a RayJob of the overlay training-job on the active cluster of the RayService, and print how to follow it.

With a --name that is there already nothing is made: the same job is followed, and another entrypoint is refused. With
--follow the exit status is 0 only if the job completes.

The submitter's pod has the image of the platform's head, unless --set image=… names another.

Where no worker group may have the driver's entrypointResources (the overlay kueue closes the group training) the job
is refused: there python -m cluster up kueue-training-job makes a run with a cluster of its own.
"""
EXAMPLES = """\
examples:
  python -m cluster train -- python -m jobs.train --config flights-online
  python -m cluster train --name nightly --follow -- python -m jobs.train --config flights-online
  python -m cluster train --name nightly --follow                           the one that runs
"""


class Submitter(Reader, Protocol):
    """An API server that also takes a new object."""

    def create(self, obj: Object) -> Object:
        """POST it; ``ExistsError`` where there is one of its name."""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "train",
        help="a training job as a RayJob",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", metavar="NAME", help="of the RayJob (default: train- and the time)")
    parser.add_argument("--follow", action="store_true", help="tell what becomes of it until it is done")
    parser.add_argument("--timeout", type=seconds, metavar="TIME", help="of --follow (default: 1d)")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    add_sets(parser)
    add_access(parser)
    parser.add_argument(
        "entrypoint", nargs="*", metavar="-- ENTRYPOINT", help="the job's command (default: that of the overlay)"
    )
    parser.set_defaults(run=lambda options: run(_train, options))


def _train(options: argparse.Namespace) -> int:
    if options.timeout is not None and not options.follow:
        raise UsageError("--timeout bounds what --follow waits for; give both, or neither")
    kube, namespace = connect(options.kubeconfig, options.context), _namespace(options)
    name = options.name or f"train-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    say = to_stderr if options.json else to_stdout
    job = submit(kube, namespace, name, shlex.join(options.entrypoint), options.sets, say=say)
    say(f"logs:    python -m cluster logs {name} -n {namespace} -f")
    say(f"end it:  kubectl delete rayjob {name} -n {namespace}")
    if options.follow:
        timeout = FOLLOW_S if options.timeout is None else options.timeout
        try:
            found = follow(kube, key_of(job), time.monotonic() + timeout, say)
        except KubeError as error:
            error.done = _document(job)
            raise
    else:
        say(f"follow:  python -m cluster train --name {name} -n {namespace} --follow")
        found = health(job)
    if options.json:
        print(json.dumps({**_document(job), "state": found.state, "why": found.why}))
    return 1 if options.follow and found.state != "ready" else 0


def _namespace(options: argparse.Namespace) -> str:
    """``-n``, else where the manifests (and ``--set namespace=``) put the job, as they put the platform."""
    if options.namespace:
        return str(options.namespace)
    moved = [each for each in options.sets if each.startswith("namespace=")]
    jobs = [key_of(obj) for obj in render(OVERLAY, moved) if obj["kind"] == "RayJob"]
    return next((key.namespace for key in jobs if key.namespace), None) or namespace_of(options)


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
    """Make the RayJob, or find the one that this name was given to before.

    Args:
        kube: The API server.
        namespace: Where the platform is.
        name: The RayJob's.
        entrypoint: The job's command; empty for that of the overlay, or of the job that is there.
        sets: ``--set`` options.
        manifests: The folder with the overlay.
        say: Told what was done.

    Raises:
        UsageError: the name is none, is taken by a job with another entrypoint, there is no RayService, or none
            of its groups may have the resources that the job's driver asks for.
        KubeError: the RayService has no active cluster.
    """
    check_name(name, LONGEST_NAME)
    if renamed := next((each for each in sets if ":/metadata/name=" in each), None):
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
    """Whether its head has a sidecar: then a job's pods without one would find nobody who talks to them."""
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
    raise KubeError(f"{key_of(service)} has no active cluster: {health(service).why}")


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
        raise UsageError("an entrypoint is missing: python -m cluster train -- python -m jobs.train …")
    return job


def _take_image(job: Object, service: Object) -> None:
    """The image that the platform runs, in the place of the manifests' own: that one is only a name to replace."""
    image = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    for container in job["spec"]["submitterPodTemplate"]["spec"]["containers"]:
        if re.split("[:@]", container["image"])[0] == IMAGE:
            container["image"] = image


def follow(kube: Reader, key: Key, deadline: float, say: Say = to_stdout) -> Health:
    """Tell every change of the job's state until it is done.

    Returns:
        Its last state: ``ready`` if it completed, ``failed`` if not.

    Raises:
        KubeError: it was deleted meanwhile.
        DeadlineError: it was not done by ``deadline`` (``time.monotonic()``).
    """
    kinds = [Kind(key.api_version, key.kind, key.namespace), Kind(*POD, key.namespace)]
    kinds.append(Kind(*EVENTS, key.namespace, needed=False))
    told, seen = "", False
    with Observer(kube, kinds, deadline) as observer:
        for snapshot, _ in observer.snapshots():
            found, there = snapshot.health(key), key in snapshot.objects
            if seen and not there:
                raise KubeError(f"{key} was deleted before it was done; it was last {told}")
            seen = seen or there
            line = f"{found.state}: {found.why}"
            if there and line != told:
                told = line
                say(f"{datetime.now(UTC).astimezone():%H:%M:%S}  {line}")
            if found.state == "ready" or (found.state == "failed" and found.final):
                return found
            if time.monotonic() >= deadline:
                raise DeadlineError(f"{key} is not done in time; it goes on, and is {told or 'not there'}")
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
    to_stderr(f"{key_of(found)} is there already: {health(found).why or 'no state yet'}")
    return found
