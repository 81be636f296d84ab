"""The RayService against what runs on one machine, and against Ray itself."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from ray._private.label_utils import parse_node_labels_string
from ray.autoscaler._private.kuberay.autoscaling_config import _node_type_from_group_spec
from ray.serve.schema import ServeDeploySchema
from ray.util import accelerators

from app.gateway.grpc.servicer import ADD_INFERENCE_SERVICE
from app.releases.model.names import APP, IMPORT_PATH, PREFIX
from app.routing.readback import GATEWAY_DEPLOYMENT
from app.settings import Settings, get_settings
from cluster.kube.manifest import Object
from cluster.local.config import LocalConfig
from cluster.local.environment import _tuning
from tests.cluster.manifests.pods import cluster_of, containers, pods, quantity, selects
from tests.cluster.manifests.rendering import CLUSTER, COMBINATIONS, PLATFORMS, render

DIFFERENT = {
    "TIDEGATE_GATEWAY_ANONYMOUS": "a cluster's gateway wants a key",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "there is somewhere to move work to",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "Ray's default: other nodes' proxies learn of it later",
    "RAY_SERVE_HAPROXY_NBTHREAD": "each pod's own CPUs, by the downward API",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "of MLflow's server, so in its ConfigMap",
}


def one(objects: list[Object], kind: str, name: str) -> Object:
    return next(obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == (kind, name))


@pytest.fixture(scope="module")
def base() -> list[Object]:
    return render("base")


@pytest.fixture(scope="module")
def data(base: list[Object]) -> dict[str, str]:
    found: dict[str, str] = one(base, "ConfigMap", "tidegate-settings")["data"]
    return found


def spec(objects: list[Object]) -> dict[str, Any]:
    found: dict[str, Any] = one(objects, "RayService", "tidegate")["spec"]
    return found


def test_ray_tuning_equals_that_of_the_local_stack(data: dict[str, str]) -> None:
    tuning = {name: value for name, value in _tuning().items() if name not in DIFFERENT}
    assert {name: data.get(name) for name in tuning} == tuning
    others = {name for name in data if name.startswith(("RAY_", "OMP_", "MLFLOW_"))} - tuning.keys()
    assert others == {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"}
    assert _tuning().keys() >= DIFFERENT.keys()


def test_mlflow_job_execution_is_off(base: list[Object]) -> None:
    name = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
    assert one(base, "ConfigMap", "tidegate-mlflow")["data"][name] == _tuning()[name]


def test_settings_are_valid_and_require_keys(data: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    read = Settings.load()
    assert read.redis.url == data["TIDEGATE_REDIS_URL"]
    assert read.training.storage == "/shared/runs"
    assert read.gateway.anonymous == ()


def test_addresses_in_settings_are_those_of_services(base: list[Object], data: dict[str, str]) -> None:
    ports = {
        obj["metadata"]["name"]: {port["port"] for port in obj["spec"]["ports"]}
        for obj in base
        if obj["kind"] == "Service"
    }
    head = spec(base)["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["ports"]
    ports["tidegate-head-svc"] = {port["containerPort"] for port in head}
    ports["tidegate-serve-svc"] = {port["port"] for port in spec(base)["serveService"]["spec"]["ports"]}
    urls = ["REDIS_URL", "MLFLOW_TRACKING_URI", "RAY_DASHBOARD_URL", "GATEWAY_URL", "GATEWAY_GRPC_URL"]
    for value in (data[f"TIDEGATE_{name}"] for name in urls):
        host, _, port = value.rpartition("://")[2].partition("/")[0].partition(":")
        assert int(port) in ports[host], value


def test_serve_config_equals_that_of_the_local_stack(base: list[Object]) -> None:
    declared = yaml.safe_load(spec(base)["serveConfigV2"])
    ServeDeploySchema.model_validate(declared)
    gateway = LocalConfig().gateway_import_path
    assert declared["applications"] == [
        {"name": get_settings().gateway.app_name, "route_prefix": "/", "import_path": gateway, "args": {}},
        {"name": APP, "route_prefix": PREFIX, "import_path": IMPORT_PATH, "args": {}},
    ]
    assert declared["proxy_location"] == "EveryNode"
    assert declared["http_options"] == {"host": "0.0.0.0", "port": 8000}
    assert declared["grpc_options"] == {
        "port": 8081,
        "grpc_servicer_functions": [ADD_INFERENCE_SERVICE],
        "enable_reflection": False,
    }


def test_serve_ports_equal_those_of_containers_and_service(base: list[Object]) -> None:
    declared = yaml.safe_load(spec(base)["serveConfigV2"])
    wanted = {"serve": declared["http_options"]["port"], "serve-grpc": declared["grpc_options"]["port"]}
    assert {port["name"]: port["port"] for port in spec(base)["serveService"]["spec"]["ports"]} == wanted
    cluster = spec(base)["rayClusterConfig"]
    for template in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        ports = template["template"]["spec"]["containers"][0]["ports"]
        assert {port["name"]: port["containerPort"] for port in ports if port["name"] in wanted} == wanted


def test_upgrade_makes_no_second_cluster_and_head_has_no_replicas(base: list[Object]) -> None:
    assert spec(base)["upgradeStrategy"] == {"type": "None"}
    assert spec(base)["excludeHeadPodFromServeSvc"] is True
    assert spec(base)["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("name", ["base", *PLATFORMS, *COMBINATIONS])
def test_serving_and_training_have_node_labels_of_their_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render(name)
    for variable, value in one(objects, "ConfigMap", "tidegate-settings")["data"].items():
        monkeypatch.setenv(variable, value)
    read = Settings.load()
    labelled = {
        group["groupName"]: group["labels"] for group in spec(objects)["rayClusterConfig"]["workerGroupSpecs"]
    }
    for purpose, wanted in (("serving", read.serving.node_labels), ("training", read.training.node_labels)):
        assert {group for group, labels in labelled.items() if wanted.items() <= labels.items()} == {
            group for group in labelled if group.partition("-")[0] == purpose
        }
    for labels in labelled.values():
        assert parse_node_labels_string(",".join(f"{key}={value}" for key, value in labels.items())) == labels


def test_empty_gpu_group_names_its_accelerator() -> None:
    """To the autoscaler, for label selectors and for ``accelerator_type=``; the one that its nodes have."""
    known = {value for name, value in vars(accelerators).items() if name.startswith("NVIDIA_")}
    groups = spec(render("gpu"))["rayClusterConfig"]["workerGroupSpecs"][2:]
    assert len(groups) == 2
    for group in groups:
        node = _node_type_from_group_spec(group, is_head=False)
        accelerator = node["labels"]["ray.io/accelerator-type"]
        assert accelerator in known
        assert node["resources"][f"accelerator_type:{accelerator}"] == 1
        assert node["resources"]["GPU"] >= 1
        affinity = group["template"]["spec"]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        (product,) = term["matchExpressions"][0]["values"]
        assert product.split("-")[1] == accelerator


@pytest.mark.parametrize("name", ["base", *PLATFORMS, *COMBINATIONS])
def test_worker_readiness_asks_its_own_proxy(name: str) -> None:
    """The operator's probe of a worker calls wget, which the image has not, and asks the head through Ray's agent."""
    cluster = spec(render(name))["rayClusterConfig"]
    for group in cluster["workerGroupSpecs"]:
        probe = group["template"]["spec"]["containers"][0]["readinessProbe"]
        assert probe["httpGet"] == {"path": "/-/healthz", "port": "serve"}
        assert probe["failureThreshold"] > 1, "one slow answer takes no pod out of the Service"
    assert "readinessProbe" not in cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    # From this version on the operator asks a head by HTTP.
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 53)


def test_training_cluster_has_no_proxy_probe() -> None:
    job = one(render("kueue-training-job"), "RayJob", "train-flights-online")["spec"]["rayClusterSpec"]
    for group in [job["headGroupSpec"], *job["workerGroupSpecs"]]:
        assert "readinessProbe" not in group["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("name", [*PLATFORMS, *COMBINATIONS])
def test_components_append_their_worker_groups(name: str, base: list[Object]) -> None:
    groups = [group["groupName"] for group in spec(render(name))["rayClusterConfig"]["workerGroupSpecs"]]
    assert groups[:2] == [group["groupName"] for group in spec(base)["rayClusterConfig"]["workerGroupSpecs"]]
    assert len(groups) == (4 if "gpu" in name.split("+") else 2)


def test_only_the_autoscaler_mounts_the_service_account(base: list[Object]) -> None:
    cluster = spec(base)["rayClusterConfig"]
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert account in {each["mountPath"] for each in cluster["autoscalerOptions"]["volumeMounts"]}
    for template in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        mounts = template["template"]["spec"]["containers"][0]["volumeMounts"]
        assert account not in {each["mountPath"] for each in mounts}


def test_network_policy_opens_the_ports_of_api_servers(base: list[Object]) -> None:
    policy = one(base, "NetworkPolicy", "tidegate-ray-autoscaler")["spec"]
    assert [port["port"] for port in policy["egress"][0]["ports"]] == [443, 6443, 8443, 16443]
    assert (len(policy["egress"]), policy["podSelector"]["matchLabels"]["ray.io/node-type"]) == (1, "head")


def test_operator_chooses_the_storage_namespace() -> None:
    options = spec(render("ha"))["rayClusterConfig"]["gcsFaultToleranceOptions"]
    assert options["redisAddress"] == "tidegate-redis:6379"
    assert options["redisPassword"] == {"valueFrom": {"secretKeyRef": {"name": "tidegate-redis", "key": "password"}}}
    assert "externalStorageNamespace" not in options


def test_serving_pods_are_spread_over_nodes() -> None:
    serving = spec(render("ha"))["rayClusterConfig"]["workerGroupSpecs"][0]
    assert serving["minReplicas"] >= 2
    spread = serving["template"]["spec"]["topologySpreadConstraints"][0]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")


def test_drain_leaves_a_gateway_replica_on_each_serving_pod(
    base: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More replicas than one node takes are on two nodes; a pod without one has no proxy and is never Ready."""
    objects = render("ha")
    for variable, value in one(objects, "ConfigMap", "tidegate-settings")["data"].items():
        monkeypatch.setenv(variable, value)
    gateway = Settings.load().gateway
    declared = yaml.safe_load(spec(objects)["serveConfigV2"])
    ServeDeploySchema.model_validate(declared)
    (deployment,) = declared["applications"][0].pop("deployments")
    assert declared == yaml.safe_load(spec(base)["serveConfigV2"])
    assert deployment["name"] == GATEWAY_DEPLOYMENT
    per_node = deployment["max_replicas_per_node"]
    room = per_node * spec(objects)["rayClusterConfig"]["workerGroupSpecs"][0]["minReplicas"]
    assert per_node < gateway.min_replicas
    assert gateway.min_replicas < room, "a new replica comes before an old one goes (max_surge_percent)"
    assert gateway.max_replicas <= room


def test_disruption_budget_selects_every_serving_pod() -> None:
    objects = render("gpu+ha")
    selector = one(objects, "PodDisruptionBudget", "tidegate-serving")["spec"]["selector"]
    counted = {pod.where for pod in pods(objects) if selects(selector, pod.labels)}
    assert counted == {"group serving", "group serving-gpu"}


def test_gpu_group_has_limit_and_node_selector() -> None:
    groups = spec(render("gpu"))["rayClusterConfig"]["workerGroupSpecs"]
    for group in groups:
        pod = group["template"]["spec"]
        wanted = group["groupName"].endswith("-gpu")
        assert ("nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]) is wanted
        assert ("affinity" in pod) is wanted
        assert any(each["key"] == "nvidia.com/gpu" for each in pod.get("tolerations", [])) is wanted


def test_dev_requests_fit_a_laptop() -> None:
    objects = render("dev")
    groups = spec(objects)["rayClusterConfig"]["workerGroupSpecs"]
    assert sum(group["maxReplicas"] for group in groups) == 2
    scaling = one(objects, "HorizontalPodAutoscaler", "tidegate-mlflow")["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (1, 1)
    assert one(objects, "PersistentVolumeClaim", "tidegate-shared")["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_dev_is_scheduled_on_four_cpus_and_twelve_gib() -> None:
    """Every pod at its most, a training run's submitter and MLflow's second pod while it rolls included."""
    # Kubernetes' own pods on one node (as kind starts them: DNS, etcd, API server, scheduler, ...) and the operator.
    wanted = {"cpu": Decimal("1.2"), "memory": quantity("1Gi")}
    objects = [*render("dev"), *render("training-job")]
    for pod in pods(objects):
        times = 2 if pod.owner.name == "tidegate-mlflow" else 1
        mine = [each for each in containers(objects) if each.pod == pod]
        starting = {each["name"] for each in pod.spec.get("initContainers", [])}
        for name in wanted:
            asked = {each.name: quantity(each.fields["resources"]["requests"][name]) for each in mine}
            running = sum(value for container, value in asked.items() if container not in starting)
            wanted[name] += times * max(running, *(asked[container] for container in starting), Decimal(0))
    assert wanted["cpu"] <= 4
    assert wanted["memory"] <= quantity("12Gi")


def test_training_job_runs_a_command_on_the_active_cluster() -> None:
    job = one(render("training-job"), "RayJob", "train-flights-online")["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": "tidegate"}
    assert "rayClusterSpec" not in job
    assert "shutdownAfterJobFinishes" not in job
    python, option, module, *arguments = job["entrypoint"].split()
    assert (python, option, arguments[0]) == ("python", "-m", "--config")
    assert importlib.util.find_spec(module) is not None
    assert (CLUSTER.parent / "jobs" / "configs" / f"{arguments[1]}.yaml").exists()


@pytest.mark.parametrize(
    ("overlay", "kind", "name"),
    [
        ("base", "RayService", "tidegate"),
        ("dev", "RayService", "tidegate"),
        ("kueue-training-job", "RayJob", "train-flights-online"),
    ],
)
def test_driver_runs_outside_serving_and_takes_no_cpu(overlay: str, kind: str, name: str) -> None:
    job = one(render("training-job"), "RayJob", "train-flights-online")["spec"]
    ((asked, units),) = json.loads(job["entrypointResources"]).items()
    assert "entrypointNumCpus" not in job
    found = {
        group["groupName"]: _node_type_from_group_spec(group, is_head=False)["resources"]
        for group in cluster_of(one(render(overlay), kind, name))["workerGroupSpecs"]
    }
    assert [group for group, resources in found.items() if resources.get(asked, 0) >= units] == ["training"]
    config = yaml.safe_load((CLUSTER.parent / "jobs" / "configs" / "flights-online.yaml").read_text())
    assert found["training"]["CPU"] >= config["workers"]
