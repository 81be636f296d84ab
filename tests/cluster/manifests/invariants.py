"""Invariants of every overlay. Each function returns its violations as sentences; none is good."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from app.settings import variables
from cluster.kube.manifest import Object, key_of
from cluster.kube.silent_errors import silent_errors
from tests.cluster.manifests.pods import cluster_of, containers, gateway_pods, pods, quantity, selects

NAMESPACE = "tidegate"
IMAGE = "tidegate:0.1.0"
BROUGHT = {
    ("Secret", "tidegate-redis"): {"password"},
    ("Secret", "tidegate-gateway"): {"admin-key-hash"},
    ("Secret", "tidegate-ray-auth"): {"auth_token"},
    ("Secret", "tidegate-mlflow-db"): {"uri"},
    ("Secret", "tidegate-mlflow-store"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL"},
    ("Secret", "tidegate-jobs"): set(),  # any variables, or none
    ("ConfigMap", "kube-root-ca.crt"): {"ca.crt"},  # Kubernetes puts it into every namespace
}
"""What is referenced and not rendered: what the user makes, with the keys (base/kustomization.yaml says so)."""
CLUSTER_SCOPED = {
    "ClusterQueue",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "Namespace",
    "PriorityClass",
    "ResourceFlavor",
    "StorageClass",
    "WorkloadPriorityClass",
}
PORTS_OUTSIDE = {53: "DNS", 443: "TLS", 6443: "the API server", 5432: "PostgreSQL", 9000: "an S3-compatible store"}
PORTS_OUTSIDE |= {8443: "minikube's API server", 16443: "MicroK8s' API server", 15012: "istiod"}
PORTS_OF_RAY = {
    9101: "HAProxy's metrics",
    8404: "HAProxy's statistics",
    52365: "the dashboard's agent",
    15020: "a mesh's merged metrics",
    15090: "a mesh's own metrics",
}
"""Opened by processes inside a pod that no manifest names."""
_SECRET_NAME = re.compile(r"(PASSWORD|SECRET|TOKEN|CREDENTIAL|(^|_)KEY(_|$))")
_SECRET_VALUE = re.compile(r"[A-Za-z0-9+/=]{24,}")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def resources_are_bounded(objects: list[Object]) -> Iterator[str]:
    for container in containers(objects):
        resources = container.fields.get("resources") or {}
        for name in ("cpu", "memory"):
            request, limit = ((resources.get(field) or {}).get(name) for field in ("requests", "limits"))
            if request is None or limit is None:
                yield f"{container}: {name} has the request {request} and the limit {limit}"
            elif quantity(request) > quantity(limit):
                yield f"{container}: {name} requests {request}, more than its limit {limit}"


def nothing_is_privileged(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        context = pod.spec.get("securityContext") or {}
        if context.get("runAsNonRoot") is not True:
            yield f"{pod}: runAsNonRoot is {context.get('runAsNonRoot')}"
        if (context.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
            yield f"{pod}: seccompProfile is {context.get('seccompProfile')}"
        if not all(context.get(name, 0) >= 1000 for name in ("runAsUser", "runAsGroup", "fsGroup")):
            yield f"{pod}: user and groups are {context}"
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod}: the account's token is mounted"
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(field):
                yield f"{pod}: {field}"
        for volume in pod.spec.get("volumes", []):
            if "hostPath" in volume:
                yield f"{pod}: volume {volume['name']} is a folder of the node"
    for container in containers(objects):
        context = container.fields.get("securityContext") or {}
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
        for field, value in wanted.items():
            if context.get(field) is not value:
                yield f"{container}: {field} is {context.get(field)}"
        capabilities = context.get("capabilities") or {}
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield f"{container}: capabilities are {capabilities}"
        if context.get("privileged") or context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
            yield f"{container}: {context}"
        if "hostPort" in str(container.fields.get("ports", [])):
            yield f"{container}: takes a port of the node"


def one_image_runs_everything(objects: list[Object]) -> Iterator[str]:
    for container in containers(objects):
        if container.fields["image"] != IMAGE:
            yield f"{container}: image {container.fields['image']}, not {IMAGE}"
        if container.fields.get("imagePullPolicy") != "IfNotPresent":
            yield f"{container}: imagePullPolicy is {container.fields.get('imagePullPolicy')}"


def no_secret_is_written_down(objects: list[Object]) -> Iterator[str]:
    for obj in objects:
        if obj["kind"] == "Secret":
            yield f"{key_of(obj)}: secrets are made by the user"
        for path, text in _texts(obj, ()):
            for word in _SECRET_VALUE.findall(text):
                if _entropy(word) > 4.0 and any(map(str.isdigit, word)):
                    yield f"{key_of(obj)} {'.'.join(path)}: {word[:6]}… looks like a secret"
        if obj["kind"] == "ConfigMap":
            for name, value in (obj.get("data") or {}).items():
                if _VARIABLE.match(name) and _SECRET_NAME.search(name) and value:
                    yield f"{key_of(obj)}: {name} has a value"
    for container in containers(objects):
        for variable in container.fields.get("env") or []:
            if _SECRET_NAME.search(variable["name"]) and "value" in variable:
                yield f"{container}: {variable['name']} has a value"


def services_select_pods(objects: list[Object]) -> Iterator[str]:
    templates = pods(objects)
    for obj in _kind(objects, "Service"):
        selector = obj["spec"].get("selector")
        found = [pod for pod in templates if selects({"matchLabels": selector} if selector else None, pod.labels)]
        if not found:
            yield f"{key_of(obj)}: selects no pod by {selector}"
        for port in obj["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for pod in found:
                if target not in _ports(pod.spec):
                    yield f"{key_of(obj)}: {pod} opens no port {target}"


def services_of_the_operator_select_pods(objects: list[Object]) -> Iterator[str]:
    """``NAME-head-svc`` and ``NAME-serve-svc`` as KubeRay 1.7 makes them for a RayService."""
    for obj in _kind(objects, "RayService"):
        own = [pod for pod in pods([obj]) if pod.labels["ray.io/is-ray-node"] == "yes"]
        head = {
            "ray.io/node-type": "head",
            "app.kubernetes.io/name": "kuberay",
            "app.kubernetes.io/created-by": "kuberay-operator",
        }
        if not any(selects({"matchLabels": head}, pod.labels) for pod in own):
            yield f"{key_of(obj)}: the Service of the head selects no pod by {head}"
        heads = [pod for pod in own if pod.labels["ray.io/node-type"] == "head"]
        serve = {name for name in _port_names(heads[0].spec) if name == "serve" or name.startswith("serve-")}
        if serve != {"serve", "serve-grpc"}:
            yield f"{key_of(obj)}: the Serve Service takes its ports from the head, which names {sorted(serve)}"
        for pod in own:
            if missing := serve - _port_names(pod.spec):
                yield f"{pod}: is behind the Serve Service and opens no {sorted(missing)}"


def what_is_referenced_is_there(objects: list[Object]) -> Iterator[str]:
    there = {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}
    keys = {key: set(obj.get("data") or {}) for key, obj in there.items()} | BROUGHT
    made = {
        ("Deployment", f"{obj['metadata']['name']}-{obj['spec']['gatewayClassName']}")
        for obj in _kind(objects, "Gateway")
    }
    kinds = {"configMap": "ConfigMap", "secret": "Secret", "configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
    kinds |= {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    for obj in objects:
        for field, reference in _references(obj, kinds):
            wanted = (kinds[field], reference.get("secretName") or reference.get("name"))
            asked = {reference["key"]} if "key" in reference else {each["key"] for each in reference.get("items", [])}
            if wanted not in keys:
                yield f"{key_of(obj)}: there is no {wanted[0]} {wanted[1]}"
            elif missing := asked - keys[wanted]:
                yield f"{key_of(obj)}: {wanted[0]} {wanted[1]} has no {sorted(missing)}"
        auth = cluster_of(obj).get("authOptions") or {}
        if "secretName" in auth and "auth_token" not in keys.get(("Secret", auth["secretName"]), ()):
            yield f"{key_of(obj)}: there is no Secret {auth['secretName']} with the key auth_token"
        if obj["kind"] == "RoleBinding":
            role = (obj["roleRef"]["kind"], obj["roleRef"]["name"])
            accounts = [
                ("ServiceAccount", each["name"]) for each in obj["subjects"] if each["kind"] == "ServiceAccount"
            ]
            for wanted in [role, *accounts]:
                if wanted not in there:
                    yield f"{key_of(obj)}: there is no {wanted[0]} {wanted[1]}"
        if obj["kind"] == "HorizontalPodAutoscaler":
            target = obj["spec"]["scaleTargetRef"]
            found = there.get((target["kind"], target["name"]))
            if (target["kind"], target["name"]) in made:
                continue
            if found is None or found["apiVersion"] != target["apiVersion"]:
                yield f"{key_of(obj)}: there is no {target['kind']} {target['name']}"
            elif "replicas" in found["spec"]:
                yield f"{key_of(obj)}: {target['kind']} {target['name']} names replicas, too"
    standing = any(obj["kind"] == "Namespace" for obj in objects)
    for pod in pods(objects):
        account = pod.spec.get("serviceAccountName", "default")  # which every namespace has
        if standing and account != "default" and ("ServiceAccount", account) not in there:
            yield f"{pod}: there is no ServiceAccount {account}"
        for volume in pod.spec.get("volumes", []):
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and ("PersistentVolumeClaim", claim) not in there:
                yield f"{pod}: there is no PersistentVolumeClaim {claim}"


def volumes_and_mounts_agree(objects: list[Object]) -> Iterator[str]:
    claims = {
        key_of(obj): {each["metadata"]["name"] for each in obj["spec"].get("volumeClaimTemplates", [])}
        for obj in _kind(objects, "StatefulSet")
    }
    for pod in pods(objects):
        volumes = {each["name"] for each in pod.spec.get("volumes", [])} | claims.get(pod.owner, set())
        mine = [each for each in containers(objects) if each.pod == pod]
        mounted = {mount["name"] for each in mine for mount in each.fields.get("volumeMounts") or []}
        if volumes != mounted:
            yield f"{pod}: volumes {sorted(volumes)}, mounted {sorted(mounted)}"
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{pod}: emptyDir {volume['name']} has no sizeLimit"


def something_is_writable(objects: list[Object]) -> Iterator[str]:
    """The root is read-only: /tmp and the home must not be."""
    for container in containers(objects):
        if container.name == "redis":  # writes to its data only
            continue
        mounts = {
            each["mountPath"] for each in container.fields.get("volumeMounts") or [] if not each.get("readOnly")
        }
        variables_ = {each["name"]: each.get("value", "") for each in container.fields.get("env") or []}
        home = variables_.get("HOME")
        for folder in ("/tmp", home):
            if folder not in mounts:
                yield f"{container}: {folder or 'HOME, which is not set,'} is not writable"


def shared_memory_fits(objects: list[Object]) -> Iterator[str]:
    for obj in objects:
        cluster = cluster_of(obj)
        for group in [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])] if cluster else []:
            name = group.get("groupName", "head")
            spec = group["template"]["spec"]
            mounts = {each["mountPath"]: each["name"] for each in spec["containers"][0]["volumeMounts"]}
            volume = next((each for each in spec["volumes"] if each["name"] == mounts.get("/dev/shm")), None)
            if volume is None or (volume.get("emptyDir") or {}).get("medium") != "Memory":
                yield f"{key_of(obj)} {name}: /dev/shm is {volume}"
                continue
            shared = quantity(volume["emptyDir"]["sizeLimit"])
            store = quantity(group["rayStartParams"]["object-store-memory"])
            limit = quantity(spec["containers"][0]["resources"]["limits"]["memory"])
            if not store < shared < limit / 2:
                yield f"{key_of(obj)} {name}: object store {store}, /dev/shm {shared}, memory {limit}"


def policies_name_open_ports(objects: list[Object]) -> Iterator[str]:
    templates = [*pods(objects), *gateway_pods(objects)]
    for obj in _kind(objects, "NetworkPolicy"):
        spec = obj["spec"]
        mine = [pod for pod in templates if selects(spec["podSelector"], pod.labels)]
        for rule in spec.get("ingress") or []:
            for port in rule.get("ports", []):
                if not any(port["port"] in _ports(pod.spec) for pod in mine) and port["port"] not in PORTS_OF_RAY:
                    yield f"{key_of(obj)}: none of {[str(pod) for pod in mine]} opens {port['port']}"
        for rule in spec.get("egress") or []:
            peers = [each["podSelector"] for each in rule.get("to", []) if set(each) == {"podSelector"}]
            theirs = [pod for pod in templates for peer in peers if selects(peer, pod.labels)]
            if peers and not theirs:
                yield f"{key_of(obj)}: {peers} select no pod"
            for port in rule.get("ports", []):
                opened = any(port["port"] in _ports(pod.spec) for pod in theirs)
                if not opened and (peers or port["port"] not in PORTS_OUTSIDE):
                    yield f"{key_of(obj)}: none of its peers opens {port['port']}"


def what_speaks_is_let_through(objects: list[Object]) -> Iterator[str]:
    """Inside a namespace that denies by default both ends must agree: what one sends, the other takes."""
    templates, policies = [*pods(objects), *gateway_pods(objects)], _kind(objects, "NetworkPolicy")
    for obj in policies:
        senders = [pod for pod in templates if selects(obj["spec"]["podSelector"], pod.labels)]
        for rule in obj["spec"].get("egress") or []:
            for peer in (each["podSelector"] for each in rule.get("to", []) if set(each) == {"podSelector"}):
                for receiver in (pod for pod in templates if selects(peer, pod.labels)):
                    for sender in senders:
                        for port in rule.get("ports", [None]):
                            number = port["port"] if port else None
                            if not _taken(policies, sender.labels, receiver.labels, number):
                                yield f"{key_of(obj)}: {receiver} does not take {number} from {sender}"


def budgets_select_pods(objects: list[Object]) -> Iterator[str]:
    for obj in _kind(objects, "PodDisruptionBudget"):
        if not any(selects(obj["spec"]["selector"], pod.labels) for pod in pods(objects)):
            yield f"{key_of(obj)}: selects no pod by {obj['spec']['selector']}"


def spreading_selects_its_own_pods(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for each in pod.spec.get("topologySpreadConstraints") or []:
            if not selects(each["labelSelector"], pod.labels):
                yield f"{pod}: is spread by {each['labelSelector']}, which does not select it"


def only_usable_nodes_hold_pods_back(objects: list[Object]) -> Iterator[str]:
    """A hard spread counts every node unless told otherwise, also those whose taints keep its pods away."""
    for pod in pods(objects):
        for each in pod.spec.get("topologySpreadConstraints") or []:
            if each["whenUnsatisfiable"] == "DoNotSchedule" and each.get("nodeTaintsPolicy") != "Honor":
                yield f"{pod}: a node that is tainted holds the others at {each['maxSkew']} each"


def the_operator_accepts_rays_objects(objects: list[Object]) -> Iterator[str]:
    """The operator's own rules that a change of these manifests breaks most easily (KubeRay 1.7, validation.go)."""
    for obj in objects:
        cluster = cluster_of(obj)
        if obj["apiVersion"].startswith("ray.io/"):
            yield from silent_errors(obj)
            if len(obj["metadata"]["name"]) > 47:
                yield f"{key_of(obj)}: a name of more than 47 characters"
        for group in [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])] if cluster else []:
            name = f"{key_of(obj)} {group.get('groupName', 'head')}"
            if group.get("minReplicas", 0) > group.get("maxReplicas", 2**31):
                yield f"{name}: minReplicas {group['minReplicas']} is more than maxReplicas {group['maxReplicas']}"
            both = {"num-cpus", "num-gpus", "memory", "resources"} & {*group["rayStartParams"]}
            if group.get("resources") and both:
                yield f"{name}: resources beside rayStartParams {', '.join(sorted(both))}"
            if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield f"{name}: restartPolicy {group['template']['spec']['restartPolicy']} with autoscaler v2"


def everything_is_in_the_namespace(objects: list[Object]) -> Iterator[str]:
    for obj in objects:
        wanted = None if obj["kind"] in CLUSTER_SCOPED else NAMESPACE
        if obj["metadata"].get("namespace") != wanted:
            yield f"{key_of(obj)}: its namespace is {obj['metadata'].get('namespace')}, not {wanted}"


def nothing_is_there_twice(objects: list[Object]) -> Iterator[str]:
    for key, count in Counter(key_of(obj) for obj in objects).items():
        if count > 1:
            yield f"{key}: {count} times"
    for container in containers(objects):
        for name, count in Counter(each["name"] for each in container.fields.get("env") or []).items():
            if count > 1:
                yield f"{container}: {name} {count} times"


def variables_are_known(objects: list[Object]) -> Iterator[str]:
    known = variables()
    for obj in _kind(objects, "ConfigMap"):
        for name in obj.get("data") or {}:
            if name.startswith("TIDEGATE_") and name not in known:
                yield f"{key_of(obj)}: {name} is no setting"
    for container in containers(objects):
        for variable in container.fields.get("env") or []:
            if variable["name"].startswith("TIDEGATE_") and variable["name"] not in known:
                yield f"{container}: {variable['name']} is no setting"


def no_registry_is_named(objects: list[Object]) -> Iterator[str]:
    for container in containers(objects):
        if "/" in container.fields["image"] or container.fields["image"].endswith(":latest"):
            yield f"{container}: {container.fields['image']}"


def draining_has_its_time(objects: list[Object]) -> Iterator[str]:
    """Ray's drain and the wait before it fit into the time that the pod has."""
    settings: dict[str, str] = next(
        (obj["data"] for obj in objects if obj["metadata"]["name"] == "tidegate-settings"), {}
    )
    for pod in pods(objects):
        if "ray.io/node-type" in pod.labels:
            drain = float(settings["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
            wait = pod.spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            if pod.spec["terminationGracePeriodSeconds"] < drain + wait + 10:
                yield f"{pod}: {pod.spec['terminationGracePeriodSeconds']} s for {wait} s and a drain of {drain} s"


def _kind(objects: list[Object], kind: str) -> list[Object]:
    return [obj for obj in objects if obj["kind"] == kind]


def _ports(spec: dict[str, Any]) -> set[int | str]:
    found: set[int | str] = set()
    for container in spec["containers"]:
        for port in container.get("ports", []):
            found |= {port["containerPort"], port.get("name", port["containerPort"])}
    return found


def _port_names(spec: dict[str, Any]) -> set[str]:
    return {port for port in _ports(spec) if isinstance(port, str)}


def _taken(policies: list[Object], sender: dict[str, str], receiver: dict[str, str], port: int | None) -> bool:
    for obj in policies:
        if "Ingress" not in obj["spec"]["policyTypes"] or not selects(obj["spec"]["podSelector"], receiver):
            continue
        for rule in obj["spec"].get("ingress") or []:
            peers = [each["podSelector"] for each in rule.get("from", []) if set(each) == {"podSelector"}]
            from_there = "from" not in rule or any(selects(peer, sender) for peer in peers)
            if from_there and ("ports" not in rule or port in {each["port"] for each in rule["ports"]}):
                return True
    return False


def _references(value: Any, kinds: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in kinds and isinstance(each, dict) and ("name" in each or "secretName" in each):
                yield name, each
            else:
                yield from _references(each, kinds)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each, kinds)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, (*path, str(name)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, (*path, str(index)))
    elif isinstance(value, str):
        yield path, value


def _entropy(word: str) -> float:
    """Bits per character."""
    return -sum(count / len(word) * math.log2(count / len(word)) for count in Counter(word).values())


ALL = (
    resources_are_bounded,
    nothing_is_privileged,
    one_image_runs_everything,
    no_registry_is_named,
    no_secret_is_written_down,
    services_select_pods,
    services_of_the_operator_select_pods,
    what_is_referenced_is_there,
    volumes_and_mounts_agree,
    something_is_writable,
    shared_memory_fits,
    policies_name_open_ports,
    what_speaks_is_let_through,
    budgets_select_pods,
    spreading_selects_its_own_pods,
    only_usable_nodes_hold_pods_back,
    the_operator_accepts_rays_objects,
    everything_is_in_the_namespace,
    nothing_is_there_twice,
    variables_are_known,
    draining_has_its_time,
)
