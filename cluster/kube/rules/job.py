"""A RayJob, on its own or as the template of a RayCronJob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

from cluster.kube.manifest import Object
from cluster.kube.rules.auth import unsupported_findings
from cluster.kube.rules.autoscaling import restart_findings
from cluster.kube.rules.cluster import spec_findings, upgrade_findings
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.deletion import deletion_findings
from cluster.kube.rules.finding import SET, Finding, under
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.names import name_findings
from cluster.kube.rules.reading import at, mapping, number, text

SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
CLUSTER_LABEL = "ray.io/cluster"
_LONGEST_NAME = 47
_POSITIVE = ("activeDeadlineSeconds", "preRunningDeadlineSeconds")


def rayjob_findings(obj: Object, gates: Gates) -> Iterator[Finding]:
    yield from name_findings(text(at(obj, "metadata", "name")), _LONGEST_NAME)
    annotations = mapping(at(obj, "metadata", "annotations"))
    yield from job_findings(mapping(obj.get("spec")), annotations, gates, "spec")


def job_findings(spec: Object, annotations: Mapping[str, str], gates: Gates, prefix: str) -> Iterator[Finding]:
    """The rules of a job's spec; ``prefix`` is its place in the object."""
    yield from under(prefix, deletion_findings(spec, gates))
    yield from under(prefix, _suspend(spec))
    yield from under(prefix, _where(spec))
    yield from under(prefix, _numbers(spec))
    yield from under(prefix, _runtime_env(spec))
    if isinstance(spec.get("rayClusterSpec"), dict):
        cluster = ClusterSpec(spec["rayClusterSpec"], annotations, gates)
        place = f"{prefix}.rayClusterSpec"
        yield from under(place, unsupported_findings(cluster, "RayJob"))
        yield from under(place, upgrade_findings(cluster, "RayJob"))
        if spec.get("submissionMode") == "SidecarMode":
            yield from under(place, restart_findings(cluster.head, "in SidecarMode"))
        yield from spec_findings(cluster, place)


def _suspend(spec: Object) -> Iterator[Finding]:
    if spec.get("suspend") is not True:
        return
    if spec.get("shutdownAfterJobFinishes") is not True:
        yield Finding("suspend", True, "true only with shutdownAfterJobFinishes: true")
    if mapping(spec.get("clusterSelector")):
        yield Finding("suspend", True, "false with clusterSelector: the cluster is not the job's own")


def _where(spec: Object) -> Iterator[Finding]:
    """On a cluster of its own or on one that is there, and who submits."""
    selector, mode = mapping(spec.get("clusterSelector")), spec.get("submissionMode")
    retries = number(spec.get("backoffLimit")) or 0
    if not isinstance(spec.get("rayClusterSpec"), dict) and not selector:
        yield Finding("rayClusterSpec", None, "a cluster of the job's own, or clusterSelector")
    if selector:
        if not selector.get(CLUSTER_LABEL):
            yield Finding(
                f"clusterSelector[{CLUSTER_LABEL}]", selector.get(CLUSTER_LABEL), "the name of a RayCluster"
            )
        if mode == "SidecarMode":
            yield Finding("submissionMode", mode, "another one with clusterSelector: the head runs already")
        if retries > 0:
            yield Finding("backoffLimit", retries, "0 with clusterSelector")
    if mode == "InteractiveMode" and retries > 0:
        yield Finding("backoffLimit", retries, "0 in InteractiveMode")
    if mode == "SidecarMode":
        for name in ("submitterPodTemplate", "submitterConfig"):
            if spec.get(name) is not None:
                yield Finding(name, SET, "nothing in SidecarMode: the submitter is a container of the head")


def _numbers(spec: Object) -> Iterator[Finding]:
    for name in _POSITIVE:
        seconds = number(spec.get(name))
        if seconds is not None and seconds <= 0:
            yield Finding(name, seconds, "1 or more seconds")
    retries = number(spec.get("backoffLimit"))
    if retries is not None and retries < 0:
        yield Finding("backoffLimit", retries, "0 or more retries")


def _runtime_env(spec: Object) -> Iterator[Finding]:
    written = text(spec.get("runtimeEnvYAML"))
    try:
        found = yaml.safe_load(written)
    except yaml.YAMLError as error:
        yield Finding("runtimeEnvYAML", written, f"YAML ({str(error).splitlines()[0]})")
        return
    if found is not None and not isinstance(found, dict):
        yield Finding("runtimeEnvYAML", written, "a mapping, such as 'pip: [scipy]'")
