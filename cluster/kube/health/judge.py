"""Which rule an object is judged by."""

from __future__ import annotations

from collections.abc import Callable

from cluster.kube.health import kueue, network, pods, ray, workloads
from cluster.kube.health.verdict import Health, Related, progressing, ready
from cluster.kube.manifest import Object

Rule = Callable[[Object, Related], Health]

_RULES: dict[tuple[str, str], Rule] = {
    ("ray.io", "RayService"): ray.ray_service,
    ("ray.io", "RayCluster"): ray.ray_cluster,
    ("ray.io", "RayJob"): ray.ray_job,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("batch", "Job"): workloads.job,
    ("", "Pod"): pods.pod,
    ("", "PersistentVolumeClaim"): workloads.volume_claim,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.autoscaler,
    ("policy", "PodDisruptionBudget"): workloads.disruption_budget,
    ("kueue.x-k8s.io", "LocalQueue"): kueue.queue,
    ("kueue.x-k8s.io", "ClusterQueue"): kueue.queue,
    ("kueue.x-k8s.io", "Workload"): kueue.workload,
    ("gateway.networking.k8s.io", "Gateway"): network.gateway,
    ("gateway.networking.k8s.io", "HTTPRoute"): network.route,
    ("gateway.networking.k8s.io", "GRPCRoute"): network.route,
    ("", "Service"): network.service,
}


def health(obj: Object, related: Related | None = None) -> Health:
    """How ``obj`` is. A kind that has no rule of its own is ready by being there."""
    related = related or Related()
    group = obj["apiVersion"].rpartition("/")[0]
    if obj["metadata"].get("deletionTimestamp"):
        held = ", ".join(obj["metadata"].get("finalizers") or [])
        return progressing("is being deleted" + (f"; waits for {held}" if held else ""))
    rule = _RULES.get((group, obj["kind"]))
    return rule(obj, related) if rule else ready()
