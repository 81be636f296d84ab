"""Every overlay keeps every invariant, and every invariant notices when it is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.kube.manifest import Object
from tests.cluster.manifests import invariants
from tests.cluster.manifests.pods import containers, quantity
from tests.cluster.manifests.rendering import ALL, CLUSTER, compose, render

Change = Callable[[dict[str, Object]], object]


def objects_of(name: str) -> list[Object]:
    """An overlay; one without the base is looked at beside it, since what it speaks to and refers to is there."""
    found = render(name)
    return found if any(obj["kind"] == "Namespace" for obj in found) else [*render("base"), *found]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("invariant", invariants.ALL, ids=lambda each: each.__name__)
def test_invariant_holds(invariant: Callable[[list[Object]], Any], name: str) -> None:
    assert list(invariant(objects_of(name))) == []


def ray(objects: dict[str, Object]) -> dict[str, Any]:
    found: dict[str, Any] = objects["RayService tidegate"]["spec"]["rayClusterConfig"]
    return found


def head(objects: dict[str, Object]) -> dict[str, Any]:
    found: dict[str, Any] = ray(objects)["headGroupSpec"]["template"]["spec"]
    return found


def group(objects: dict[str, Object], index: int) -> dict[str, Any]:
    found: dict[str, Any] = ray(objects)["workerGroupSpecs"][index]
    return found


def pod(objects: dict[str, Object], name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects[name]["spec"]["template"]["spec"]
    return found


def policy(objects: dict[str, Object], name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects[f"NetworkPolicy {name}"]["spec"]
    return found


REDIS, MLFLOW = "StatefulSet tidegate-redis", "Deployment tidegate-mlflow"
BREAKS: list[tuple[str, str, Change]] = [
    ("resources_are_bounded", "memory", lambda o: ray(o)["autoscalerOptions"]["resources"]["limits"].pop("memory")),
    (
        "resources_are_bounded",
        "more than its limit",
        lambda o: pod(o, REDIS)["containers"][0]["resources"]["requests"].update(cpu="2100m"),
    ),
    ("the_operator_accepts_rays_objects", "more than maxReplicas 0", lambda o: group(o, 0).update(maxReplicas=0)),
    (
        "the_operator_accepts_rays_objects",
        "restartPolicy Always",
        lambda o: group(o, 0)["template"]["spec"].update(restartPolicy="Always"),
    ),
    (
        "the_operator_accepts_rays_objects",
        "resources beside rayStartParams num-cpus",
        lambda o: (
            group(o, 0)["rayStartParams"].update({"num-cpus": "1"}),
            group(o, 0).update(resources={"CPU": "1"}),
        ),
    ),
    ("nothing_is_privileged", "runAsNonRoot", lambda o: head(o)["securityContext"].pop("runAsNonRoot")),
    ("nothing_is_privileged", "user and groups", lambda o: head(o)["securityContext"].update(runAsUser=0)),
    (
        "nothing_is_privileged",
        "readOnlyRootFilesystem",
        lambda o: ray(o)["autoscalerOptions"]["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    ("nothing_is_privileged", "seccomp", lambda o: pod(o, MLFLOW)["securityContext"].pop("seccompProfile")),
    (
        "nothing_is_privileged",
        "capabilities",
        lambda o: group(o, 3)["template"]["spec"]["containers"][0]["securityContext"]["capabilities"].update(
            add=["SYS_PTRACE"]
        ),
    ),
    (
        "nothing_is_privileged",
        "allowPrivilegeEscalation",
        lambda o: pod(o, MLFLOW)["initContainers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    ("nothing_is_privileged", "token", lambda o: pod(o, REDIS).update(automountServiceAccountToken=True)),
    (
        "nothing_is_privileged",
        "folder of the node",
        lambda o: head(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    ),
    ("nothing_is_privileged", "hostNetwork", lambda o: head(o).update(hostNetwork=True)),
    (
        "one_image_runs_everything",
        "other:1",
        lambda o: group(o, 2)["template"]["spec"]["containers"][0].update(image="other:1"),
    ),
    (
        "one_image_runs_everything",
        "imagePullPolicy",
        lambda o: pod(o, REDIS)["containers"][0].update(imagePullPolicy="Always"),
    ),
    (
        "no_registry_is_named",
        "example.org",
        lambda o: pod(o, REDIS)["containers"][0].update(image="example.org/tidegate:0.1.0"),
    ),
    ("no_registry_is_named", "latest", lambda o: pod(o, REDIS)["containers"][0].update(image="tidegate:latest")),
    (
        "no_secret_is_written_down",
        "made by the user",
        lambda o: o.update({"x": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}}),
    ),
    (
        "no_secret_is_written_down",
        "TIDEGATE_REDIS_PASSWORD",
        lambda o: head(o)["containers"][0]["env"].append({"name": "TIDEGATE_REDIS_PASSWORD", "value": "hunter2"}),
    ),
    (
        "no_secret_is_written_down",
        "AWS_SECRET_ACCESS_KEY",
        lambda o: o["ConfigMap tidegate-mlflow"]["data"].update(AWS_SECRET_ACCESS_KEY="short"),
    ),
    (
        "no_secret_is_written_down",
        "looks like",
        lambda o: o["ConfigMap tidegate-settings"]["data"].update(
            NOTE="see wJalrXUtnFEMI7MDENGbPxRfiCYzQ8vLo2pTs5Ka"
        ),
    ),
    (
        "services_select_pods",
        "selects no pod",
        lambda o: o["Service tidegate-mlflow"]["spec"]["selector"].update(tier="web"),
    ),
    (
        "services_select_pods",
        "opens no port",
        lambda o: o["Service tidegate-redis"]["spec"]["ports"][0].update(targetPort="valkey"),
    ),
    (
        "services_of_the_operator_select_pods",
        "the Service of the head",
        lambda o: ray(o)["headGroupSpec"]["template"]["metadata"]["labels"].update(
            {"app.kubernetes.io/name": "tidegate"}
        ),
    ),
    (
        "services_of_the_operator_select_pods",
        "takes its ports from the head",
        lambda o: head(o)["containers"][0]["ports"].pop(),
    ),
    (
        "services_of_the_operator_select_pods",
        "group serving: is behind",
        lambda o: group(o, 0)["template"]["spec"]["containers"][0]["ports"].pop(),
    ),
    ("what_is_referenced_is_there", "ConfigMap tidegate-redis", lambda o: o.pop("ConfigMap tidegate-redis")),
    ("what_is_referenced_is_there", "ServiceAccount", lambda o: o.pop("ServiceAccount tidegate-ray-worker")),
    (
        "what_is_referenced_is_there",
        "PersistentVolumeClaim",
        lambda o: o.pop("PersistentVolumeClaim tidegate-shared"),
    ),
    ("what_is_referenced_is_there", "Role tidegate-autoscaler", lambda o: o.pop("Role tidegate-autoscaler")),
    ("what_is_referenced_is_there", "Deployment", lambda o: o.pop(MLFLOW)),
    ("what_is_referenced_is_there", "names replicas", lambda o: o[MLFLOW]["spec"].update(replicas=2)),
    (
        "what_is_referenced_is_there",
        "has no ['pass']",
        lambda o: head(o)["containers"][0]["env"][2]["valueFrom"]["secretKeyRef"].update(key="pass"),
    ),
    (
        "what_is_referenced_is_there",
        "auth_token",
        lambda o: ray(o)["authOptions"].update(secretName="tidegate-token"),
    ),
    ("volumes_and_mounts_agree", "volumes", lambda o: pod(o, REDIS)["volumes"].pop()),
    ("volumes_and_mounts_agree", "no sizeLimit", lambda o: pod(o, MLFLOW)["volumes"][0].update(emptyDir={})),
    (
        "something_is_writable",
        "/tmp",
        lambda o: ray(o)["autoscalerOptions"]["volumeMounts"].pop(0),
    ),
    ("something_is_writable", "HOME", lambda o: pod(o, MLFLOW)["initContainers"][0]["env"].pop(0)),
    (
        "shared_memory_fits",
        "object store",
        lambda o: group(o, 1)["rayStartParams"].update({"object-store-memory": str(2**33)}),
    ),
    ("shared_memory_fits", "/dev/shm is", lambda o: head(o)["volumes"][4]["emptyDir"].pop("medium")),
    (
        "policies_name_open_ports",
        "opens 8266",
        lambda o: policy(o, "tidegate-ray-operator")["ingress"][0]["ports"][0].update(port=8266),
    ),
    (
        "policies_name_open_ports",
        "opens 25",
        lambda o: policy(o, "tidegate-mlflow")["egress"][0]["ports"][0].update(port=25),
    ),
    (
        "policies_name_open_ports",
        "select no pod",
        lambda o: policy(o, "tidegate-ray")["egress"][1]["to"][0]["podSelector"]["matchLabels"].update(tier="db"),
    ),
    ("what_speaks_is_let_through", "does not take 6379", lambda o: policy(o, "tidegate-redis")["ingress"].clear()),
    ("what_speaks_is_let_through", "does not take None", lambda o: policy(o, "tidegate-ray")["ingress"].clear()),
    (
        "budgets_select_pods",
        "selects no pod",
        lambda o: o["PodDisruptionBudget tidegate-serving"]["spec"]["selector"]["matchLabels"].update(
            {"ray.io/group": "server"}
        ),
    ),
    (
        "only_usable_nodes_hold_pods_back",
        "tainted",
        lambda o: group(o, 0)["template"]["spec"]["topologySpreadConstraints"][0].pop("nodeTaintsPolicy"),
    ),
    (
        "spreading_selects_its_own_pods",
        "which does not select it",
        lambda o: group(o, 0).update(groupName="answering"),
    ),
    (
        "everything_is_in_the_namespace",
        "its namespace is None",
        lambda o: o["PodDisruptionBudget tidegate-mlflow"]["metadata"].pop("namespace"),
    ),
    ("nothing_is_there_twice", "2 times", lambda o: o.update({"again": o[REDIS]})),
    (
        "nothing_is_there_twice",
        "HOME 2 times",
        lambda o: head(o)["containers"][0]["env"].append({"name": "HOME", "value": "/"}),
    ),
    (
        "variables_are_known",
        "TIDEGATE_REDIS_ADDRESS",
        lambda o: o["ConfigMap tidegate-settings"]["data"].update(TIDEGATE_REDIS_ADDRESS="x"),
    ),
    (
        "variables_are_known",
        "TIDEGATE_GATEWAY_KEY",
        lambda o: head(o)["containers"][0]["env"][3].update(name="TIDEGATE_GATEWAY_KEY"),
    ),
    ("draining_has_its_time", "a drain of", lambda o: head(o).update(terminationGracePeriodSeconds=100)),
]


@pytest.mark.parametrize(("name", "sign", "change"), BREAKS, ids=[f"{name}: {sign}" for name, sign, _ in BREAKS])
def test_broken_manifest_violates_its_invariant(name: str, sign: str, change: Change) -> None:
    objects = {f"{obj['kind']} {obj['metadata']['name']}": obj for obj in render("gpu+ha")}
    change(objects)
    found = list(getattr(invariants, name)(list(objects.values())))
    assert any(sign in each for each in found), found


def test_invariants_cover_the_pods_of_a_gateway() -> None:
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    edge = {"gateway.networking.k8s.io/gateway-name": "edge"}
    worker = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "worker"}
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "tidegate"},
        "spec": {"gatewayClassName": "istio", "listeners": [listener]},
    }
    asks = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "edge", "namespace": "tidegate"},
        "spec": {
            "podSelector": {"matchLabels": edge},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}],
            "egress": [{"to": [{"podSelector": {"matchLabels": worker}}], "ports": [{"port": 8000}]}],
        },
    }
    objects = [*render("base"), gateway, asks]
    assert list(invariants.policies_name_open_ports(objects)) == []
    assert any("does not take 8000" in each for each in invariants.what_speaks_is_let_through(objects))


def test_every_invariant_has_a_manifest_that_breaks_it() -> None:
    assert {name for name, _, _ in BREAKS} == {each.__name__ for each in invariants.ALL}


def test_dev_and_ha_do_not_go_together_and_the_documents_say_so() -> None:
    (found,) = invariants.the_operator_accepts_rays_objects(compose(["dev", "ha"]))
    assert "minReplicas 2 is more than maxReplicas 1" in found
    assert "They go together, except `dev` with `ha`:" in (CLUSTER / "README.md").read_text()


def test_image_replaces_every_container_image() -> None:
    objects = compose(["gpu", "ha"], images=[{"name": "tidegate", "newName": "ours", "digest": "sha256:" + "0" * 64}])
    found = {each.rsplit("image ", 1)[1] for each in invariants.one_image_runs_everything(objects)}
    assert found == {f"ours@sha256:{'0' * 64}, not tidegate:0.1.0"}
    assert len(list(invariants.one_image_runs_everything(objects))) == len(list(containers(objects)))


def test_secrets_file_names_every_secret() -> None:
    text = (CLUSTER / "base" / "kustomization.yaml").read_text().partition("apiVersion")[0]
    for (kind, name), keys in invariants.BROUGHT.items():
        if kind == "Secret":
            line = next(each for each in text.splitlines() if name in each)
            assert all(key in line for key in keys), line


@pytest.mark.parametrize(
    ("text", "number"), [("500m", "0.5"), ("2Gi", str(2 * 1024**3)), ("1", "1"), (3, "3"), ("2G", str(2 * 10**9))]
)
def test_quantity(text: str | int, number: str) -> None:
    assert str(quantity(text)).rstrip("0").rstrip(".") == number.rstrip("0").rstrip(".")
