"""A small platform as it is rendered, and a cluster that is ready for it."""

from __future__ import annotations

from typing import Any

from cluster.kube.manifest import Object

NAMESPACE = "tidegate"


def container(cpu: str = "1", memory: str = "2Gi", **more: Any) -> Object:
    resources = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
    return {"name": "main", "image": "tidegate:0.1.0", "resources": resources, **more}


def obj(api_version: str, kind: str, name: str, namespace: str | None = NAMESPACE, **more: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def secret_env(secret: str, key: str, *, optional: bool = False) -> list[Object]:
    reference = {"name": secret, "key": key} | ({"optional": True} if optional else {})
    return [{"name": "X", "valueFrom": {"secretKeyRef": reference}}]


def group(name: str, least: int, most: int, **more: Any) -> Object:
    template = {"spec": {"containers": [container(**more)]}}
    return {"groupName": name, "minReplicas": least, "maxReplicas": most, "rayStartParams": {}, "template": template}


def ray_service(*groups: Object) -> Object:
    head = container(env=secret_env("tidegate-gateway", "admin-key-hash"))
    spec = {
        "rayVersion": "2.60.0",
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2"},
        "authOptions": {"mode": "token", "secretName": "tidegate-ray-auth"},
        "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [head]}}},
        "workerGroupSpecs": list(groups or (group("serving", 1, 4),)),
    }
    return obj("ray.io/v1", "RayService", "tidegate", spec={"rayClusterConfig": spec})


def rendered(*groups: Object) -> list[Object]:
    """Namespace, claim, MLflow with its autoscaler, Redis, the operator's NetworkPolicy, Ray."""
    mlflow = {"containers": [container(envFrom=[{"secretRef": {"name": "tidegate-mlflow-store"}}])]}
    volumes = [
        {
            "name": "secret",
            "secret": {"secretName": "tidegate-redis", "items": [{"key": "password", "path": "password"}]},
        },
        {"name": "settings", "configMap": {"name": "tidegate-redis"}},
    ]
    redis = {
        "containers": [container("500m", "1Gi", env=secret_env("not-needed", "x", optional=True))],
        "volumes": volumes,
    }
    namespace = obj("v1", "Namespace", NAMESPACE, None)
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kuberay-operator"}}}
    shared = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "50Gi"}}}
    own = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }
    return [
        namespace,
        obj("v1", "PersistentVolumeClaim", "tidegate-shared", spec=shared),
        obj("apps/v1", "Deployment", "tidegate-mlflow", spec={"replicas": 1, "template": {"spec": mlflow}}),
        obj(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "tidegate-mlflow",
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tidegate-mlflow"},
                "minReplicas": 2,
                "maxReplicas": 4,
            },
        ),
        obj(
            "apps/v1",
            "StatefulSet",
            "tidegate-redis",
            spec={
                "replicas": 1,
                "template": {"spec": redis},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": own}],
            },
        ),
        obj(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "tidegate-ray-operator",
            spec={"ingress": [{"from": [operator], "ports": [{"port": 8265}]}]},
        ),
        ray_service(*groups),
    ]


def operator(
    namespace: str = "kuberay-operator", image: str = "kuberay/operator:v1.7.0", *args: str, ready: int = 1
) -> Object:
    made = obj("apps/v1", "Deployment", "kuberay-operator", namespace)
    made["metadata"]["labels"] = {"app.kubernetes.io/name": "kuberay-operator"}
    made["spec"] = {"template": {"spec": {"containers": [{"name": "o", "image": image, "args": list(args)}]}}}
    made["status"] = {"readyReplicas": ready}
    return made


def storage_class(name: str, *, default: bool = False) -> Object:
    made = obj("storage.k8s.io/v1", "StorageClass", name, None)
    made["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true" if default else "false"}
    return made
