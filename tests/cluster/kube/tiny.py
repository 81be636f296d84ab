"""Manifests that are small and have the shape of the real ones."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "base/kustomization.yaml": """\
# The tiny platform. It has
# one service.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: tidegate
resources: [all.yaml]
configMapGenerator:
  - name: generated
    literals: [A=b]
""",
    "base/all.yaml": """\
apiVersion: v1
kind: Namespace
metadata: {name: tidegate}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: head, namespace: tidegate}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: head}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: head}
subjects:
  - {kind: ServiceAccount, name: head, namespace: tidegate}
  - {kind: ServiceAccount, name: prometheus, namespace: elsewhere}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tidegate-settings}
data:
  TIDEGATE_GATEWAY_MIN_REPLICAS: "2"
  HOSTS: redis.tidegate:6379,redis.tidegate.svc,registry.tidegate.example,/ns/tidegate/sa/head
---
apiVersion: ray.io/v1
kind: RayService
metadata: {name: tidegate}
spec:
  rayClusterConfig:
    autoscalerOptions: {image: "tidegate:0.1.0"}
    headGroupSpec:
      template:
        spec:
          initContainers: [{name: wait, image: "tidegate:0.1.0"}]
          containers:
            - name: ray-head
              image: tidegate:0.1.0
              args: ["on", "1e3", "0x1", "null", "12:30"]
    workerGroupSpecs:
      - groupName: serving
        replicas: 1
        minReplicas: 2
        maxReplicas: 4
        template: {spec: {containers: [{name: ray-worker, image: "tidegate:0.1.0"}]}}
""",
    "components/big/kustomization.yaml": """\
# Ten of everything.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: RayService}
    patch: '[{"op": "replace", "path": "/spec/rayClusterConfig/workerGroupSpecs/0/replicas", "value": 10}]'
""",
    "components/bigger/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: RayService}
    patch: '[{"op": "replace", "path": "/spec/rayClusterConfig/workerGroupSpecs/0/replicas", "value": 20}]'
""",
    "overlays/big/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../base]
components: [../../components/big]
""",
    "overlays/training-job/kustomization.yaml": """\
# One run.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: tidegate
resources: [job.yaml]
""",
    "overlays/training-job/job.yaml": """\
apiVersion: ray.io/v1
kind: RayJob
metadata: {name: train}
spec:
  entrypoint: python -m jobs.train
  clusterSelector: {ray.io/cluster: tidegate}
  submitterPodTemplate: {spec: {containers: [{name: submitter, image: "tidegate:0.1.0"}]}}
""",
}


def write(folder: Path) -> Path:
    """The manifests, in ``folder``."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
