"""What the operator takes without a word and that never does what it says."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.autoscaling import restart_findings
from cluster.kube.rules.cluster_spec import RESTART_POLICIES, ClusterSpec
from cluster.kube.rules.cron import parse
from cluster.kube.rules.finding import Finding, under
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.job import CLUSTER_LABEL, SUBMISSION_MODES
from cluster.kube.rules.names import is_dns_1035_label
from cluster.kube.rules.reading import at, mapping, text
from cluster.kube.rules.service import INCREMENTAL


def raycluster_doubts(spec: Object, prefix: str) -> Iterator[Finding]:
    """``prefix`` is the cluster spec's place in its object."""
    cluster = ClusterSpec(spec)
    for group in (cluster.head, *cluster.workers):
        if group.restart_policy and group.restart_policy not in RESTART_POLICIES:
            field = f"{prefix}.{group.path}.template.spec.restartPolicy"
            yield Finding(field, group.restart_policy, f"{', '.join(RESTART_POLICIES)}: its pods are refused")
    if cluster.autoscaled and cluster.autoscaler_version == "v1":
        for group in cluster.workers:
            yield from under(prefix, restart_findings(group, "with the autoscaler, which replaces what dies"))


def rayjob_doubts(spec: Object, prefix: str, clusters: Collection[str] | None) -> Iterator[Finding]:
    """``clusters`` are the RayClusters that are known to be there; ``None`` where nobody looked."""
    mode = spec.get("submissionMode")
    if mode is not None and mode not in SUBMISSION_MODES:
        yield Finding(f"{prefix}.submissionMode", mode, f"{', '.join(SUBMISSION_MODES)}: nobody submits this job")
    wanted = at(spec, "clusterSelector", CLUSTER_LABEL)
    if wanted and clusters is not None and wanted not in clusters:
        field = f"{prefix}.clusterSelector[{CLUSTER_LABEL}]"
        yield Finding(field, wanted, f"a RayCluster that is there: {', '.join(sorted(clusters)) or 'there is none'}")
    if isinstance(spec.get("rayClusterSpec"), dict):
        yield from raycluster_doubts(spec["rayClusterSpec"], f"{prefix}.rayClusterSpec")


def rayservice_doubts(spec: Object, gates: Gates) -> Iterator[Finding]:
    yield from raycluster_doubts(mapping(spec.get("rayClusterConfig")), "spec.rayClusterConfig")
    if at(spec, "upgradeStrategy", "type") == INCREMENTAL and not gates.incremental_upgrade:
        yield Finding(
            "spec.upgradeStrategy.type",
            INCREMENTAL,
            "NewCluster, unless the operator has its feature gate RayServiceIncrementalUpgrade on",
        )


def raycronjob_doubts(obj: Object, gates: Gates, clusters: Collection[str] | None) -> Iterator[Finding]:
    spec, name = mapping(obj.get("spec")), text(at(obj, "metadata", "name"))
    if not gates.cron_job:
        yield Finding("kind", "RayCronJob", "a RayJob, unless the operator has its feature gate RayCronJob on")
    if not is_dns_1035_label(name):
        yield Finding(
            "metadata.name", name, "a letter first, then lower-case letters, digits, '-': its RayJobs are refused"
        )
    written = text(spec.get("schedule"))
    try:
        schedule = parse(written)
    except ValueError:
        schedule = None  # refused as a rule
    if schedule is not None and not schedule.happens:
        yield Finding("spec.schedule", written, "a schedule with a day that comes")
    yield from rayjob_doubts(mapping(spec.get("jobTemplate")), "spec.jobTemplate", clusters)
