"""Pod templates wherever they lie in an object, with the labels that their pods will have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cluster.kube.manifest import Key, Object, key_of

AUTOSCALER = "autoscaler"
ISTIO_HEALTH = 15021
_UNITS = {"m": Decimal("0.001")}
_UNITS |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGT", start=1)}
_UNITS |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGT", start=1)}


@dataclass(frozen=True, slots=True)
class Pod:
    """One template. ``labels`` are those of the pods, the operator's included."""

    owner: Key
    where: str
    labels: dict[str, str]
    spec: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.owner} {self.where}"


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod; ``fields`` are as in the manifest."""

    pod: Pod
    name: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.pod} container {self.name}"


def pods(objects: Iterable[Object]) -> list[Pod]:
    """Every pod template."""
    return [pod for obj in objects for pod in _of(obj)]


def containers(objects: Iterable[Object]) -> list[Container]:
    """Every container: init containers, and the autoscaler that the operator puts beside the head."""
    found = []
    for obj in objects:
        for pod in _of(obj):
            for fields in [*pod.spec.get("initContainers", []), *pod.spec["containers"]]:
                found += [Container(pod, fields["name"], fields)]
            if pod.labels.get("ray.io/node-type") == "head":
                cluster = cluster_of(obj)
                if cluster.get("enableInTreeAutoscaling"):
                    image = pod.spec["containers"][0]["image"]
                    found.append(Container(pod, AUTOSCALER, {"image": image, **cluster.get("autoscalerOptions", {})}))
    return found


def gateway_pods(objects: Iterable[Object]) -> list[Pod]:
    """The pods that Istio makes for each Gateway: no manifest has their template, but policies speak of them."""
    found = []
    for obj in objects:
        if obj["kind"] == "Gateway":
            ports = [*(each["port"] for each in obj["spec"]["listeners"]), ISTIO_HEALTH]
            labels = {"gateway.networking.k8s.io/gateway-name": obj["metadata"]["name"]}
            spec = {"containers": [{"name": "proxy", "ports": [{"containerPort": port} for port in ports]}]}
            found.append(Pod(key_of(obj), "made by the gateway's controller", labels, spec))
    return found


def cluster_of(obj: Object) -> dict[str, Any]:
    """The RayCluster's spec in a RayService, a RayJob or a RayCluster; empty elsewhere."""
    spec = obj.get("spec") or {}
    found = spec.get("rayClusterConfig") or spec.get("rayClusterSpec") or (spec if "headGroupSpec" in spec else {})
    return dict(found)


def _of(obj: Object) -> Iterator[Pod]:
    owner = key_of(obj)
    if cluster := cluster_of(obj):
        served = {"ray.io/serve": "true"} if obj["kind"] == "RayService" else {}
        head = cluster["headGroupSpec"]
        yield Pod(owner, "head", _ray_labels(head, "head", "headgroup") | served, head["template"]["spec"])
        for group in cluster.get("workerGroupSpecs", []):
            labels = _ray_labels(group, "worker", group["groupName"]) | served
            yield Pod(owner, f"group {group['groupName']}", labels, group["template"]["spec"])
    for field in ("template", "submitterPodTemplate"):
        template = (obj.get("spec") or {}).get(field)
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            yield Pod(owner, field, dict(template.get("metadata", {}).get("labels", {})), template["spec"])


def _ray_labels(group: dict[str, Any], node_type: str, name: str) -> dict[str, str]:
    own: dict[str, str] = (group["template"].get("metadata") or {}).get("labels", {})
    fixed = {"ray.io/node-type": node_type, "ray.io/group": name, "ray.io/cluster": "(made by the operator)"}
    defaults = {
        "ray.io/is-ray-node": "yes",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    more: dict[str, str] = group.get("labels", {})
    return defaults | own | more | fixed


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """True where a LabelSelector takes a pod; an empty one takes all, none takes none."""
    if selector is None:
        return False
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    for each in selector.get("matchExpressions", []):
        there, value = each["key"] in labels, labels.get(each["key"])
        holds = {
            "In": there and value in each.get("values", []),
            "NotIn": value not in each.get("values", []),
            "Exists": there,
            "DoesNotExist": not there,
        }[each["operator"]]
        if not holds:
            return False
    return True


def quantity(text: str | int | float) -> Decimal:
    """``500m``, ``2Gi``, ``1``: the number that it is."""
    shown = str(text)
    for unit in sorted(_UNITS, key=len, reverse=True):
        if shown.endswith(unit):
            return Decimal(shown.removesuffix(unit)) * _UNITS[unit]
    return Decimal(shown)
