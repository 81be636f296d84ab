"""Where the GCS keeps its state: in Redis, by ``gcsFaultToleranceOptions`` alone, or in RocksDB on a volume."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.finding import SET, Finding
from cluster.kube.rules.reading import at, mapping, objects

ENABLED = "ray.io/ft-enabled"
NAMESPACE = "ray.io/external-storage-namespace"
_STORAGE_ENV = ("RAY_gcs_storage", "RAY_gcs_storage_path")
_STORAGE_VOLUME, _STORAGE_PATH = "gcs-storage", "/data/gcs"
_REDIS_ONLY = ("redisAddress", "externalStorageNamespace")
_REDIS_CREDENTIALS = ("redisUsername", "redisPassword")
_OWN_CLAIM = ("size", "storageClassName", "accessModes")

_OPTIONS = "gcsFaultToleranceOptions"


def fault_tolerance_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    head, options = cluster.head, cluster.fault_tolerance
    env = f"{head.container_path}.env"
    annotated = cluster.annotations.get(ENABLED, "")
    if options is None:
        if "RAY_REDIS_ADDRESS" in head.env and str(annotated).lower() != "true":
            yield Finding(f"{env}[RAY_REDIS_ADDRESS]", SET, f"{_OPTIONS}.redisAddress instead")
    else:
        if annotated:
            yield Finding(f"metadata.annotations[{ENABLED}]", annotated, f"nothing: {_OPTIONS} says it already")
        if cluster.annotations.get(NAMESPACE):
            yield Finding(
                f"metadata.annotations[{NAMESPACE}]",
                cluster.annotations[NAMESPACE],
                f"{_OPTIONS}.externalStorageNamespace instead",
            )
        if head.start_params.get("redis-password"):
            yield Finding(f"{head.path}.rayStartParams.redis-password", SET, f"{_OPTIONS}.redisPassword instead")
        for variable, instead in (("REDIS_PASSWORD", "redisPassword"), ("RAY_REDIS_ADDRESS", "redisAddress")):
            if variable in head.env:
                yield Finding(f"{env}[{variable}]", SET, f"{_OPTIONS}.{instead} instead")
        yield from _backend(cluster, options)
    if head.start_params.get("redis-username"):
        yield Finding(f"{head.path}.rayStartParams.redis-username", SET, f"{_OPTIONS}.redisUsername instead")
    if "REDIS_USERNAME" in head.env:
        yield Finding(f"{env}[REDIS_USERNAME]", SET, f"{_OPTIONS}.redisUsername instead")


def _backend(cluster: ClusterSpec, options: Object) -> Iterator[Finding]:
    if options.get("backend") != "rocksdb":
        if options.get("storage") is not None:
            yield Finding(f"{_OPTIONS}.storage", options["storage"], "nothing with backend redis; it is rocksdb's")
        return
    if not cluster.gates.embedded_storage:
        yield Finding(
            f"{_OPTIONS}.backend",
            "rocksdb",
            "redis; rocksdb only with the operator's feature gate GCSFaultToleranceEmbeddedStorage",
        )
    for name in _REDIS_ONLY:
        if options.get(name):
            yield Finding(f"{_OPTIONS}.{name}", options[name], "nothing with backend rocksdb")
    for name in _REDIS_CREDENTIALS:
        if options.get(name) is not None:
            yield Finding(f"{_OPTIONS}.{name}", SET, "nothing with backend rocksdb")
    storage = mapping(options.get("storage"))
    if storage.get("claimName"):
        for name in _OWN_CLAIM:
            if storage.get(name) not in (None, []):
                yield Finding(
                    f"{_OPTIONS}.storage.{name}", storage[name], "nothing beside claimName: the claim has its own"
                )
    yield from _operators_own(cluster)


def _operators_own(cluster: ClusterSpec) -> Iterator[Finding]:
    """The operator mounts the RocksDB volume itself, under a name and a path that must be free."""
    head = cluster.head
    for variable in _STORAGE_ENV:
        if variable in head.env:
            yield Finding(f"{head.container_path}.env[{variable}]", SET, "nothing: the operator sets it with rocksdb")
    for index, mount in enumerate(objects(head.container.get("volumeMounts"))):
        place = f"{head.container_path}.volumeMounts[{index}]"
        if mount.get("name") == _STORAGE_VOLUME:
            yield Finding(f"{place}.name", _STORAGE_VOLUME, "another name: this one is the operator's with rocksdb")
        if mount.get("mountPath") == _STORAGE_PATH:
            yield Finding(
                f"{place}.mountPath", _STORAGE_PATH, "another path: this one is the operator's with rocksdb"
            )
    for index, volume in enumerate(objects(at(head.spec, "template", "spec", "volumes"))):
        if volume.get("name") == _STORAGE_VOLUME:
            yield Finding(
                f"{head.path}.template.spec.volumes[{index}].name",
                _STORAGE_VOLUME,
                "another name: this one is the operator's with rocksdb",
            )
