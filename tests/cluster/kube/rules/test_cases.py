"""Each rule by a pair: what is still taken, and the one step further that is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.kube.rules import Gates, violations, warnings
from tests.cluster.kube.rules.objects import CONTAINER, GONE, changed, good

ALL_GATES = Gates(
    cron_job=True, network_policy=True, embedded_storage=True, mtls=True, history_server=True, sidecar_restart=True
)


@dataclass(frozen=True)
class Case:
    """``before`` alone gives nothing; with ``step``, it is ``refused`` that is refused and nothing else."""

    refused: str
    step: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    gates: Gates = ALL_GATES


HEAD, GROUP, BOX = "spec/headGroupSpec", "spec/workerGroupSpecs/0", "template/spec/containers/0"
AUTOSCALED = {"spec/enableInTreeAutoscaling": True}
V2 = AUTOSCALED | {"spec/autoscalerOptions": {"version": "v2"}}
REDIS = {"spec/gcsFaultToleranceOptions": {"redisAddress": "tidegate-redis:6379"}}
ROCKS = {"spec/gcsFaultToleranceOptions": {"backend": "rocksdb", "storage": {"size": "1Gi"}}}
FT, FT_ = "spec/gcsFaultToleranceOptions", "spec.gcsFaultToleranceOptions"
TLS = {"spec/tlsOptions": {"enabled": True}}
COLLECTOR = "spec/historyServerOptions/collectorOptions"
HISTORY = {f"{COLLECTOR}/image": "collector:1", f"{COLLECTOR}/env": [{"name": "STORAGE_BACKEND", "value": "local"}]}
COLLECTOR_ENV = "spec.historyServerOptions.collectorOptions.env"
HEAD_ENV = "spec.headGroupSpec.template.spec.containers[0].env"


def env(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("name", "value"), pair.partition("=")[::2], strict=True)) for pair in pairs]


def history(*pairs: str) -> dict[str, Any]:
    return {f"{COLLECTOR}/image": "collector:1", f"{COLLECTOR}/env": env(*pairs)}


CLUSTER = [
    Case("metadata.name", {"metadata/name": "c" * 54}, {"metadata/name": "c" * 53}),
    Case("metadata.name", {"metadata/name": "1c"}, {"metadata/name": "c1"}),
    Case("metadata.name", {"metadata/name": "c.d"}, {"metadata/name": "c-d"}),
    Case("metadata.name", {"metadata/name": "c-"}),
    Case("spec.headGroupSpec.template.spec.containers", {f"{HEAD}/template/spec/containers": []}),
    Case("spec.headGroupSpec.template.spec.containers", {HEAD: GONE}),
    Case("spec.workerGroupSpecs[0].template.spec.containers", {f"{GROUP}/template/spec": {}}),
    *(
        Case(
            f"{place.replace('/0', '[0]').replace('/', '.')}.resources",
            {f"{place}/rayStartParams/{name}": "1"},
            {f"{place}/resources": {"CPU": "1"}, f"{place}/rayStartParams/{name}": ""},
        )
        for place in (HEAD, GROUP)
        for name in ("num-cpus", "num-gpus", "memory", "resources")
    ),
    Case("spec.headGroupSpec.rayStartParams.labels", {f"{HEAD}/rayStartParams/labels": "{}"}),
    Case("spec.headGroupSpec.labels", {f"{HEAD}/labels": {"-a": "b"}}, {f"{HEAD}/labels": {"x.y/a_b": "b"}}),
    Case(
        "spec.workerGroupSpecs[0].labels[zone]",
        {f"{GROUP}/labels": {"zone": "a b"}},
        {f"{GROUP}/labels": {"zone": ""}},
    ),
    Case("spec.workerGroupSpecs[0].minReplicas", {f"{GROUP}/minReplicas": -1}),
    Case(
        "spec.workerGroupSpecs[0].minReplicas",
        {f"{GROUP}/minReplicas": 5},
        {f"{GROUP}/minReplicas": 4},
    ),
    Case(
        "spec.workerGroupSpecs[0].idleTimeoutSeconds",
        {f"{GROUP}/idleTimeoutSeconds": -1},
        V2 | {f"{GROUP}/idleTimeoutSeconds": 0},
    ),
    Case(
        "spec.workerGroupSpecs[0].idleTimeoutSeconds",
        {"spec/autoscalerOptions/version": "v1"},
        V2 | {f"{GROUP}/idleTimeoutSeconds": 9},
    ),
    Case("spec.workerGroupSpecs[0].priority", {f"{GROUP}/priority": 1}, {f"{GROUP}/priority": 0}),
    Case(
        "spec.workerGroupSpecs[0].priority",
        {f"{HEAD}/{BOX}/env/0/value": "yes"},
        AUTOSCALED | {f"{GROUP}/priority": 1, f"{HEAD}/{BOX}/env": env("RAY_enable_autoscaler_v2=1")},
    ),
    *(
        Case(
            "spec.rayVersion", {"spec/rayVersion": version}, V2 | {f"{GROUP}/priority": 1, "spec/rayVersion": enough}
        )
        for version, enough in (
            ("2.55.9", "2.56.0"),
            ("nightly", "2.56.0rc1"),
            ("", "2.56"),
            ("2a4f9c1", "3.0.0.dev0"),
        )
    ),
    Case("spec.workerGroupSpecs[0].suspend", {"spec/enableInTreeAutoscaling": True}, {f"{GROUP}/suspend": True}),
    Case(
        "spec.workerGroupSpecs[0].suspend",
        {f"{GROUP}/suspend": True},
        {f"{GROUP}/suspend": False},
        Gates(deletion_policy=False),
    ),
    Case("metadata.annotations[ray.io/ft-enabled]", {"metadata/annotations/ray.io~ft-enabled": "false"}, REDIS),
    Case(
        f"{HEAD_ENV}[RAY_REDIS_ADDRESS]",
        {"metadata/annotations/ray.io~ft-enabled": "false"},
        {f"{HEAD}/{BOX}/env": env("RAY_REDIS_ADDRESS=r:6379"), "metadata/annotations/ray.io~ft-enabled": "True"},
    ),
    Case("spec.headGroupSpec.rayStartParams.redis-password", REDIS, {f"{HEAD}/rayStartParams/redis-password": "x"}),
    Case(f"{HEAD_ENV}[REDIS_PASSWORD]", REDIS, {f"{HEAD}/{BOX}/env": env("REDIS_PASSWORD=x")}),
    Case(f"{HEAD_ENV}[RAY_REDIS_ADDRESS]", {f"{HEAD}/{BOX}/env": env("RAY_REDIS_ADDRESS=x")}, REDIS),
    Case(
        "metadata.annotations[ray.io/external-storage-namespace]",
        REDIS,
        {"metadata/annotations/ray.io~external-storage-namespace": "x"},
    ),
    Case("spec.headGroupSpec.rayStartParams.redis-username", {f"{HEAD}/rayStartParams/redis-username": "x"}, REDIS),
    Case(f"{HEAD_ENV}[REDIS_USERNAME]", {f"{HEAD}/{BOX}/env": env("REDIS_USERNAME=x")}, REDIS),
    Case(f"{FT_}.backend", {f"{FT}/backend": "rocksdb"}, {f"{FT}/backend": "redis"}, Gates()),
    *(
        Case(f"{FT_}.{name}", {f"{FT}/{name}": value}, ROCKS)
        for name, value in (
            ("redisAddress", "r:6379"),
            ("redisUsername", {"value": "x"}),
            ("redisPassword", {"value": "x"}),
            ("externalStorageNamespace", "x"),
        )
    ),
    *(
        Case(
            f"{FT_}.storage.{name}",
            {f"{FT}/storage/{name}": value},
            {FT: {"backend": "rocksdb", "storage": {"claimName": "x"}}},
        )
        for name, value in (("size", "1Gi"), ("storageClassName", "x"), ("accessModes", ["ReadWriteOnce"]))
    ),
    *(
        Case(f"{HEAD_ENV}[{name}]", ROCKS, {f"{HEAD}/{BOX}/env": env(f"{name}=x")})
        for name in ("RAY_gcs_storage", "RAY_gcs_storage_path")
    ),
    *(
        Case(
            f"spec.headGroupSpec.template.spec.containers[0].volumeMounts[0].{name}",
            {f"{HEAD}/{BOX}/volumeMounts/0/{name}": taken},
            ROCKS | {f"{HEAD}/{BOX}/volumeMounts": [{"name": "mine", "mountPath": "/mine"}]},
        )
        for name, taken in (("name", "gcs-storage"), ("mountPath", "/data/gcs"))
    ),
    Case(
        "spec.headGroupSpec.template.spec.volumes[0].name",
        ROCKS,
        {f"{HEAD}/template/spec/volumes": [{"name": "gcs-storage"}]},
    ),
    Case(f"{FT_}.storage", {f"{FT}/backend": "redis"}, ROCKS),
    Case(f"{FT_}.storage", {f"{FT}/storage": {}}, REDIS),
    Case(
        f"{HEAD_ENV}[RAY_enable_autoscaler_v2]",
        {f"{HEAD}/{BOX}/env/0/value": "true"},
        {f"{HEAD}/{BOX}/env": env("RAY_enable_autoscaler_v2=0")},
    ),
    Case(f"{HEAD_ENV}[RAY_enable_autoscaler_v2]", {f"{HEAD}/{BOX}/env": env("RAY_enable_autoscaler_v2=0")}, V2),
    Case("spec.headGroupSpec.template.spec.restartPolicy", V2, {f"{HEAD}/template/spec/restartPolicy": "Always"}),
    Case(
        "spec.workerGroupSpecs[0].template.spec.restartPolicy",
        {f"{GROUP}/template/spec/restartPolicy": "OnFailure"},
        V2 | {f"{GROUP}/template/spec/restartPolicy": "Never"},
    ),
    Case(
        "spec.autoscalerOptions.idleTimeoutSeconds",
        {"spec/autoscalerOptions/idleTimeoutSeconds": -1},
        {"spec/autoscalerOptions/idleTimeoutSeconds": 0},
    ),
    Case(
        "spec.autoscalerOptions.env[KUBERAY_GEN_AUTOSCALER_START_CMD]",
        {"spec/autoscalerOptions/env": env("KUBERAY_GEN_AUTOSCALER_START_CMD=x")},
        {"spec/autoscalerOptions/env": env("KUBERAY_GEN_RAY_START_CMD=x")},
    ),
    Case("spec.historyServerOptions", HISTORY, {}, Gates()),
    Case("spec.historyServerOptions.collectorOptions", {"spec/historyServerOptions": {}}),
    Case("spec.historyServerOptions.collectorOptions.image", {f"{COLLECTOR}/image": ""}, HISTORY),
    Case(
        "spec.headGroupSpec.template.spec.containers[0].name",
        {f"{HEAD}/{BOX}/name": "ray-history-collector"},
        HISTORY,
    ),
    Case(
        "spec.workerGroupSpecs[0].template.spec.containers[1].name",
        HISTORY,
        {f"{GROUP}/template/spec/containers/1": CONTAINER | {"name": "ray-history-collector"}},
    ),
    *(
        Case(f"{COLLECTOR_ENV}[{name}]", history("STORAGE_BACKEND=local", f"{name}=x"), HISTORY)
        for name in (
            "POD_IP",
            "FQ_RAY_IP",
            "RAY_CLUSTER_NAME",
            "RAY_CLUSTER_NAMESPACE",
            "RAY_ROLE",
            "OWNER_KIND",
            "OWNER_NAME",
            "EVENTS_PORT",
        )
    ),
    Case(
        f"{COLLECTOR_ENV}[STORAGE_BACKEND]",
        {f"{COLLECTOR}/env/0": {"name": "STORAGE_BACKEND", "valueFrom": {}}},
        HISTORY,
    ),
    *(
        Case(
            f"{COLLECTOR_ENV}[{missing}]",
            history(*(v for v in full if not v.startswith(f"{missing}="))),
            history(*full),
        )
        for missing, full in (
            ("GCS_BUCKET", ("STORAGE_BACKEND=gcs", "GCS_BUCKET=b")),
            ("S3_REGION", ("STORAGE_BACKEND=S3", "S3_REGION=r")),
            ("OSS_BUCKET", ("STORAGE_BACKEND=aliyunoss", "OSS_BUCKET=b", "OSS_ENDPOINT=e", "OSS_REGION=r")),
            ("OSS_ENDPOINT", ("STORAGE_BACKEND=aliyunoss", "OSS_BUCKET=b", "OSS_ENDPOINT=e", "OSS_REGION=r")),
            ("OSS_REGION", ("STORAGE_BACKEND=aliyunoss", "OSS_BUCKET=b", "OSS_ENDPOINT=e", "OSS_REGION=r")),
            ("AZURE_STORAGE_CONNECTION_STRING", ("STORAGE_BACKEND=azureblob", "AZURE_STORAGE_CONNECTION_STRING=c")),
        )
    ),
    *(
        Case(
            f"{COLLECTOR_ENV}[{needed}]",
            history("STORAGE_BACKEND=AZUREBLOB", f"AZURE_STORAGE_AUTH_MODE={mode}", f"{other}=x"),
            history("STORAGE_BACKEND=AZUREBLOB", f"AZURE_STORAGE_AUTH_MODE={mode}", f"{needed}=x"),
        )
        for mode, needed, other in (
            (" Connection_String ", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_URL"),
            ("workload_identity", "AZURE_STORAGE_ACCOUNT_URL", "AZURE_STORAGE_CONNECTION_STRING"),
            ("default", "AZURE_STORAGE_ACCOUNT_URL", "AZURE_STORAGE_CONNECTION_STRING"),
        )
    ),
    *(
        Case(
            "spec.rayVersion",
            {"spec/rayVersion": version},
            {"spec/authOptions/mode": "token", "spec/rayVersion": enough},
        )
        for version, enough in (("2.51.9", "2.52.0"), ("", "v2.52"), ("latest", "2.60.0.dev0"))
    ),
    Case(
        "spec.rayVersion",
        {"spec/rayVersion": "2.54.1"},
        {"spec/authOptions": {"mode": "token", "enableK8sTokenAuth": True}, "spec/rayVersion": "2.55.0"},
    ),
    Case(
        "spec.authOptions.enableK8sTokenAuth",
        {"spec/authOptions/mode": "disabled"},
        {"spec/authOptions": {"mode": "token", "enableK8sTokenAuth": True}},
    ),
    Case(
        "spec.authOptions.secretName",
        {"spec/authOptions/secretName": "x"},
        {"spec/authOptions": {"mode": "token", "enableK8sTokenAuth": True}},
    ),
    Case("spec.networkPolicy", {"spec/networkPolicy": {}}, {}, Gates()),
    *(
        Case(
            f"spec.networkPolicy.{part}.{pointless}",
            {"spec/networkPolicy/mode": mode},
            {f"spec/networkPolicy/{part.replace('[0]', '/0')}": {"groupName": "cpu", pointless: [{}]}},
        )
        for mode, pointless in (("DenyAllEgress", "ingressRules"), ("DenyAllIngress", "egressRules"))
        for part in ("head", "worker", "workerGroups[0]")
    ),
    Case("spec.workerGroupSpecs[0].groupName", {"spec/networkPolicy": {}}, {f"{GROUP}/groupName": "CPU"}),
    Case(
        "spec.networkPolicy.workerGroups[0].groupName",
        {"spec/networkPolicy/workerGroups/0/groupName": "gpu"},
        {"spec/networkPolicy/workerGroups/0/groupName": "cpu"},
    ),
    Case("spec.tlsOptions", {"spec/tlsOptions": {}}, {}, Gates()),
    *(
        Case(
            f"spec.{place.replace('/0', '[0]').replace('/', '.')}.env[{name}]",
            TLS,
            {f"spec/{place}/env": env(f"{name}=x")},
        )
        for place in (f"headGroupSpec/{BOX}", f"workerGroupSpecs/0/{BOX}", "autoscalerOptions")
        for name in ("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
    ),
    *(
        Case(
            f"spec.{place.replace('/0', '[0]').replace('/', '.')}.volumeMounts[0].{name}",
            {f"spec/{place}/volumeMounts/0/{name}": taken},
            TLS | {f"spec/{place}/volumeMounts": [{"name": "mine", "mountPath": "/mine"}]},
        )
        for place in (f"headGroupSpec/{BOX}", f"workerGroupSpecs/0/{BOX}", "autoscalerOptions")
        for name, taken in (("name", "ray-tls"), ("mountPath", "/etc/ray/tls"))
    ),
    Case(
        "spec.upgradeStrategy.type", {"spec/upgradeStrategy/type": "Rolling"}, {"spec/upgradeStrategy/type": "None"}
    ),
    Case(
        "spec.upgradeStrategy.type",
        {"metadata/labels/ray.io~originated-from-crd": "RayService"},
        {"spec/upgradeStrategy/type": "Recreate", "metadata/labels/ray.io~originated-from-crd": "RayCluster"},
    ),
    Case(
        "status.conditions",
        {"status/conditions/1": {"type": "RayClusterSuspended", "status": "True"}},
        {
            "status/conditions/0": {"type": "RayClusterSuspending", "status": "True"},
            "status/conditions/1": {"type": "RayClusterSuspended", "status": "False"},
        },
    ),
]

SELECTED = {"spec/rayClusterSpec": GONE, "spec/clusterSelector/ray.io~cluster": "shared"}
SHUTDOWN = {"spec/shutdownAfterJobFinishes": True}
DELETION = "spec/deletionStrategy"
JOB_HEAD = "spec/rayClusterSpec/headGroupSpec"


def rule(policy: str, seconds: int = 0, **condition: str) -> dict[str, Any]:
    return {"policy": policy, "condition": (condition or {"jobStatus": "SUCCEEDED"}) | {"ttlSeconds": seconds}}


def rules(*entries: dict[str, Any]) -> dict[str, Any]:
    return {f"{DELETION}/deletionRules": list(entries)}


def policies(success: str, failure: str) -> dict[str, Any]:
    return {DELETION: {"onSuccess": {"policy": success}, "onFailure": {"policy": failure}}}


JOB = [
    Case("metadata.name", {"metadata/name": "j" * 48}, {"metadata/name": "j" * 47}),
    Case("metadata.name", {"metadata/name": "J"}),
    Case("spec.suspend", {"spec/shutdownAfterJobFinishes": False}, SHUTDOWN | {"spec/suspend": True}),
    Case("spec.suspend", SELECTED, SHUTDOWN | {"spec/suspend": True}),
    Case("spec.ttlSecondsAfterFinished", {"spec/ttlSecondsAfterFinished": -1}, {"spec/ttlSecondsAfterFinished": 0}),
    Case(
        "spec.ttlSecondsAfterFinished",
        {"spec/shutdownAfterJobFinishes": False},
        SHUTDOWN | {"spec/ttlSecondsAfterFinished": 1},
    ),
    Case("spec.rayClusterSpec", {"spec/clusterSelector": {}}, SELECTED),
    Case("spec.clusterSelector[ray.io/cluster]", {"spec/clusterSelector": {"ray.io/cluster": ""}}, SELECTED),
    Case("spec.clusterSelector[ray.io/cluster]", {"spec/clusterSelector": {"app": "x"}}, SELECTED),
    Case(
        "spec.submissionMode", {"spec/submissionMode": "SidecarMode"}, SELECTED | {"spec/submissionMode": "HTTPMode"}
    ),
    Case("spec.backoffLimit", SELECTED, {"spec/backoffLimit": 1}),
    Case("spec.backoffLimit", {"spec/submissionMode": "InteractiveMode"}, {"spec/backoffLimit": 1}),
    Case("spec.backoffLimit", {"spec/backoffLimit": -1}, {"spec/backoffLimit": 0}),
    *(
        Case(
            f"spec.{name}",
            {"spec/submissionMode": "SidecarMode"},
            {f"spec/{name}": {}, "spec/submissionMode": "K8sJobMode"},
        )
        for name in ("submitterPodTemplate", "submitterConfig")
    ),
    Case(
        "spec.rayClusterSpec.headGroupSpec.template.spec.restartPolicy",
        {"spec/submissionMode": "SidecarMode"},
        {f"{JOB_HEAD}/template/spec/restartPolicy": "Always"},
    ),
    Case(
        "spec.rayClusterSpec.authOptions.enableK8sTokenAuth",
        {"spec/rayClusterSpec/authOptions/enableK8sTokenAuth": True},
        {"spec/rayClusterSpec/authOptions/mode": "token"},
    ),
    Case("spec.rayClusterSpec.upgradeStrategy.type", {"spec/rayClusterSpec/upgradeStrategy/type": "None"}),
    Case(
        "metadata.annotations[ray.io/ft-enabled]",
        {"metadata/annotations/ray.io~ft-enabled": "true"},
        {"spec/rayClusterSpec/gcsFaultToleranceOptions": {}},
    ),
    Case("spec.runtimeEnvYAML", {"spec/runtimeEnvYAML": "a: [b"}, {"spec/runtimeEnvYAML": "a: [b]"}),
    Case("spec.runtimeEnvYAML", {"spec/runtimeEnvYAML": "just words"}, {"spec/runtimeEnvYAML": ""}),
    *(
        Case(f"spec.{name}", {f"spec/{name}": 0}, {f"spec/{name}": 1})
        for name in ("activeDeadlineSeconds", "preRunningDeadlineSeconds")
    ),
    Case("spec.deletionStrategy", rules(rule("DeleteSelf")), {}, Gates(deletion_policy=False)),
    Case("spec.deletionStrategy.deletionRules", SHUTDOWN, rules(rule("DeleteSelf"))),
    Case(
        "spec.deletionStrategy.onSuccess",
        rules(rule("DeleteSelf")),
        policies("DeleteSelf", "DeleteSelf"),
    ),
    Case("spec.deletionStrategy", {DELETION: {}}),
    Case("spec.deletionStrategy", {DELETION: {"deletionRules": []}}),
    Case(
        "spec.deletionStrategy.deletionRules[0].condition",
        {f"{DELETION}/deletionRules/0/condition/jobDeploymentStatus": "Failed"},
        rules(rule("DeleteSelf")),
    ),
    Case(
        "spec.deletionStrategy.deletionRules[0].condition",
        {f"{DELETION}/deletionRules/0/condition": {}},
        rules(rule("DeleteSelf")),
    ),
    Case(
        "spec.deletionStrategy.deletionRules[0].condition.ttlSeconds",
        rules(rule("DeleteSelf", -1)),
        rules(rule("DeleteSelf")),
    ),
    *(
        Case("spec.deletionStrategy.deletionRules[0].policy", SELECTED, rules(rule(policy)))
        for policy in ("DeleteCluster", "DeleteWorkers")
    ),
    Case(
        "spec.deletionStrategy.deletionRules[0].policy",
        {"spec/rayClusterSpec/enableInTreeAutoscaling": True},
        rules(rule("DeleteWorkers")),
    ),
    Case(
        "spec.deletionStrategy.deletionRules[1].policy",
        rules(rule("DeleteSelf"), rule("DeleteSelf", 9)),
        rules(
            rule("DeleteSelf"),
            rule("DeleteSelf", jobStatus="FAILED"),
            rule("DeleteSelf", jobDeploymentStatus="Failed"),
        ),
    ),
    *(
        Case(
            "spec.deletionStrategy.deletionRules[0].condition.ttlSeconds",
            {f"{DELETION}/deletionRules/1/condition/ttlSeconds": 6},
            rules(rule(later, 5), rule(earlier, 5)),
        )
        for earlier, later in (
            ("DeleteWorkers", "DeleteCluster"),
            ("DeleteWorkers", "DeleteSelf"),
            ("DeleteCluster", "DeleteSelf"),
        )
    ),
    Case("spec.deletionStrategy.onFailure", {f"{DELETION}/onFailure": GONE}, policies("DeleteSelf", "DeleteNone")),
    Case("spec.deletionStrategy.onSuccess", {f"{DELETION}/onSuccess": GONE}, policies("DeleteSelf", "DeleteNone")),
    Case(
        "spec.deletionStrategy.onSuccess.policy", {f"{DELETION}/onSuccess": {}}, policies("DeleteSelf", "DeleteNone")
    ),
    Case("spec.deletionStrategy.onFailure.policy", SELECTED, policies("DeleteSelf", "DeleteCluster")),
    Case("spec.deletionStrategy.onSuccess.policy", SELECTED, policies("DeleteWorkers", "DeleteNone")),
    Case(
        "spec.deletionStrategy.onSuccess.policy",
        {"spec/rayClusterSpec/enableInTreeAutoscaling": True},
        policies("DeleteWorkers", "DeleteNone"),
    ),
    Case("spec.deletionStrategy.onFailure.policy", SHUTDOWN, policies("DeleteCluster", "DeleteNone")),
    Case(
        "status.jobDeploymentStatus",
        {"spec/submissionMode": "HTTPMode"},
        {"spec/submissionMode": "InteractiveMode", "status/jobDeploymentStatus": "Waiting"},
    ),
]

TIMEOUT = "metadata/annotations/ray.io~initializing-timeout"
UPGRADE = "spec/upgradeStrategy/clusterUpgradeOptions"
INCREMENTAL = {
    "spec/rayClusterConfig/enableInTreeAutoscaling": True,
    "spec/upgradeStrategy/type": "NewClusterWithIncrementalUpgrade",
    UPGRADE: {"gatewayClassName": "x", "stepSizePercent": 10, "intervalSeconds": 1},
}
SERVICE = [
    Case("metadata.name", {"metadata/name": "s" * 48}, {"metadata/name": "s" * 47}),
    Case("metadata.name", {"metadata/name": "s.t"}),
    *(
        Case("metadata.annotations[ray.io/initializing-timeout]", {TIMEOUT: wrong}, {TIMEOUT: right})
        for wrong, right in (("0", "1"), ("-5m", "5m"), ("5 m", "1.5h"), ("0s", ""), ("1d", "24h"), ("-1", "+1"))
    ),
    Case(
        "spec.rayClusterConfig.authOptions.enableK8sTokenAuth",
        {"spec/rayClusterConfig/authOptions/enableK8sTokenAuth": True},
        {"spec/rayClusterConfig/authOptions/mode": "token"},
    ),
    Case(
        "spec.rayClusterConfig.headGroupSpec.headService.metadata.name",
        {"spec/rayClusterConfig/headGroupSpec/headService/metadata/name": "x"},
        {"spec/rayClusterConfig/headGroupSpec/headService/metadata/labels": {}},
    ),
    Case("spec.rayClusterConfig.upgradeStrategy.type", {"spec/rayClusterConfig/upgradeStrategy/type": "Recreate"}),
    Case(
        "spec.upgradeStrategy.type",
        {"spec/upgradeStrategy/type": "newcluster"},
        {"spec/upgradeStrategy/type": "NewCluster"},
    ),
    Case(
        "spec.rayClusterDeletionDelaySeconds",
        {"spec/rayClusterDeletionDelaySeconds": -1},
        {"spec/rayClusterDeletionDelaySeconds": 0},
    ),
    Case("spec.upgradeStrategy.type", {"spec/rayClusterConfig/enableInTreeAutoscaling": False}, INCREMENTAL),
    Case("spec.upgradeStrategy.clusterUpgradeOptions", {UPGRADE: None}, INCREMENTAL),
    *(
        Case(
            f"spec.upgradeStrategy.clusterUpgradeOptions.{name}",
            {f"{UPGRADE}/{name}": wrong},
            INCREMENTAL | {f"{UPGRADE}/{name}": right},
        )
        for name, wrong, right in (
            ("maxSurgePercent", 101, 100),
            ("stepSizePercent", 101, 100),
            ("stepSizePercent", -1, 0),
            ("stepSizePercent", None, 100),
            ("intervalSeconds", 0, 1),
            ("intervalSeconds", None, 1),
            ("gatewayClassName", "", "istio"),
        )
    ),
    Case(
        "spec.upgradeStrategy.clusterUpgradeOptions.stepSizePercent",
        {f"{UPGRADE}/maxSurgePercent": 9},
        INCREMENTAL | {f"{UPGRADE}/maxSurgePercent": 10},
    ),
    Case(
        "spec.rayClusterConfig.workerGroupSpecs[0].minReplicas",
        {"spec/rayClusterConfig/workerGroupSpecs/0/minReplicas": 5},
    ),
]

CRON = [
    Case("metadata.name", {"metadata/name": "c" * 37}, {"metadata/name": "c" * 36}),
    *(
        Case("spec.schedule", {"spec/schedule": wrong}, {"spec/schedule": right})
        for wrong, right in (
            ("CRON_TZ=UTC 0 3 * * *", "0 3 * * *"),
            ("0 3 * *", "@daily"),
            ("60 3 * * *", "59 3 * * ?"),
            ("0 3 * * 7", "0 3 * * SUN-sat"),
            ("@reboot", "@every 90m"),
        )
    ),
    *(
        Case("spec.timeZone", {"spec/timeZone": wrong}, {"spec/timeZone": right})
        for wrong, right in (
            ("", "UTC"),
            ("Moon/Base", "Europe/Berlin"),
            ("America", "America/New_York"),
            ("/etc", "Local"),
        )
    ),
    Case("spec.jobTemplate.backoffLimit", {"spec/jobTemplate/backoffLimit": -1}),
]

TABLES = {"RayCluster": CLUSTER, "RayJob": JOB, "RayService": SERVICE, "RayCronJob": CRON}


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param(kind, case, id=f"{kind}-{case.refused}-{index}")
        for kind, table in TABLES.items()
        for index, case in enumerate(table)
    ],
)
def test_one_step_too_far(kind: str, case: Case) -> None:
    obj = changed(good(kind), case.before)
    assert violations(obj, case.gates) == []
    found = violations(changed(obj, case.step), case.gates)
    assert {violation.field for violation in found} == {case.refused}
    assert all(violation.accepted and violation.severity == "error" for violation in found)


def test_negative_replicas_break_two_rules() -> None:
    found = violations(changed(good("RayCluster"), {f"{GROUP}/maxReplicas": -1}))
    assert [violation.field.rpartition(".")[2] for violation in found] == ["maxReplicas", "minReplicas"]


def test_left_out_replicas_are_the_schemas_defaults() -> None:
    obj = changed(good("RayCluster"), {f"{GROUP}/minReplicas": GONE, f"{GROUP}/maxReplicas": GONE})
    assert violations(obj) == []


def test_all_are_reported_not_the_first() -> None:
    steps = {"metadata/name": "C", f"{GROUP}/minReplicas": 9, "spec/authOptions/enableK8sTokenAuth": True}
    found = violations(changed(good("RayCluster"), steps))
    assert [violation.field for violation in found] == [
        "metadata.name",
        "spec.workerGroupSpecs[0].minReplicas",
        "spec.authOptions.enableK8sTokenAuth",
    ]


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_another_controllers_objects_are_not_looked_at(kind: str) -> None:
    bad = changed(good(kind), {"metadata/name": "X" * 60})
    assert violations(changed(bad, {"spec/managedBy": "ray.io/kuberay-operator"}), ALL_GATES) != []
    assert violations(changed(bad, {"spec/managedBy": "kueue.x-k8s.io/multikueue"}), ALL_GATES) == []
    assert violations(bad | {"apiVersion": "example.com/v1"}, ALL_GATES) == []


@pytest.mark.parametrize("kind", sorted(TABLES))
@pytest.mark.parametrize("spec", [None, [], "text", {"rayClusterSpec": 3, "workerGroupSpecs": [None, 1]}])
def test_an_object_that_the_schema_refuses_is_judged_all_the_same(kind: str, spec: Any) -> None:
    obj = good(kind) | {"spec": spec}
    assert isinstance(violations(obj, ALL_GATES), list)
    assert isinstance(warnings(obj, ALL_GATES), list)


def test_no_secret_is_repeated() -> None:
    steps = {
        f"{HEAD}/{BOX}/env": env("REDIS_PASSWORD=hunter2", "REDIS_USERNAME=hunter2", "RAY_REDIS_ADDRESS=hunter2"),
        f"{HEAD}/rayStartParams/redis-password": "hunter2",
        f"{HEAD}/rayStartParams/redis-username": "hunter2",
        **{f"{FT}/{name}": {"value": "hunter2"} for name in ("redisPassword", "redisUsername")},
        f"{FT}/backend": "rocksdb",
    }
    found = violations(changed(good("RayCluster"), steps))
    assert len(found) == 8
    assert not any("hunter2" in str(violation) for violation in found)


DOUBTS = [
    ("RayCluster", f"{HEAD}/template/spec/restartPolicy", "Sometimes", Gates()),
    ("RayJob", "spec/submissionMode", "FaxMode", Gates()),
    ("RayJob", "spec/rayClusterSpec/headGroupSpec/template/spec/restartPolicy", "sometimes", Gates()),
    ("RayService", "spec/upgradeStrategy/type", "NewClusterWithIncrementalUpgrade", Gates(incremental_upgrade=False)),
    ("RayCronJob", "metadata/name", "1st", Gates(cron_job=True)),
    ("RayCronJob", "spec/schedule", "0 0 30 2 *", Gates(cron_job=True)),
    ("RayCronJob", "kind", "RayCronJob", Gates()),
]


@pytest.mark.parametrize(("kind", "path", "value", "gates"), DOUBTS, ids=[path for _, path, _, _ in DOUBTS])
def test_what_is_taken_and_never_works(kind: str, path: str, value: str, gates: Gates) -> None:
    assert warnings(good(kind), Gates(cron_job=True)) == []
    obj = changed(good(kind), {path: value})
    assert violations(obj, gates) == []
    (doubt,) = warnings(obj, gates)
    assert (doubt.field, doubt.value, doubt.severity) == (path.replace("/", "."), value, "warning")


def test_a_selector_is_judged_where_the_clusters_are_known() -> None:
    job = changed(good("RayJob"), SELECTED)
    assert warnings(job) == warnings(job, clusters=["shared", "other"]) == []
    (doubt,) = warnings(job, clusters=["other"])
    assert doubt.field == "spec.clusterSelector[ray.io/cluster]"
    assert "other" in str(doubt)


def test_restarting_workers_under_autoscaler_v1_are_a_warning() -> None:
    steps = AUTOSCALED | {"spec/autoscalerOptions/version": "v1", f"{GROUP}/template/spec/restartPolicy": "Always"}
    obj = changed(good("RayCluster"), steps)
    assert violations(obj) == []
    assert [doubt.field for doubt in warnings(obj)] == ["spec.workerGroupSpecs[0].template.spec.restartPolicy"]
    assert warnings(changed(obj, {"spec/enableInTreeAutoscaling": False})) == []
