"""The history server's collector: its image, and the settings of where it writes."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.cluster_spec import ClusterSpec
from cluster.kube.rules.finding import SET, Finding
from cluster.kube.rules.reading import at, mapping, objects, text

_CONTAINER = "ray-history-collector"
_OPERATORS_OWN = (
    "POD_IP",
    "FQ_RAY_IP",
    "RAY_CLUSTER_NAME",
    "RAY_CLUSTER_NAMESPACE",
    "RAY_ROLE",
    "OWNER_KIND",
    "OWNER_NAME",
    "EVENTS_PORT",
)
_CONNECTION, _ACCOUNT = "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_URL"
_NEEDED = {
    "GCS": ("GCS_BUCKET",),
    "S3": ("S3_REGION",),
    "ALIYUNOSS": ("OSS_BUCKET", "OSS_ENDPOINT", "OSS_REGION"),
}
_AZURE_NEEDED = {
    "connection_string": (_CONNECTION,),
    "workload_identity": (_ACCOUNT,),
    "default": (_ACCOUNT,),
}


def history_server_findings(cluster: ClusterSpec) -> Iterator[Finding]:
    options = cluster.spec.get("historyServerOptions")
    if not isinstance(options, dict):
        return
    if not cluster.gates.history_server:
        yield Finding(
            "historyServerOptions",
            SET,
            "nothing, unless the operator has its feature gate RayClusterHistoryServer on",
        )
    field, collector = "historyServerOptions.collectorOptions", options.get("collectorOptions")
    if not isinstance(collector, dict):
        yield Finding(field, None, "the collector's image and its environment")
        return
    if not collector.get("image"):
        yield Finding(f"{field}.image", collector.get("image"), "the collector's image")
    yield from _storage(f"{field}.env", collector)
    for group in (cluster.head, *cluster.workers):
        for index, container in enumerate(group.containers):
            if container.get("name") == _CONTAINER:
                yield Finding(
                    f"{group.path}.template.spec.containers[{index}].name",
                    _CONTAINER,
                    "another name: this one is the collector's",
                )


def _storage(field: str, collector: Object) -> Iterator[Finding]:
    # Of two variables with one name the last counts here, unlike in Ray's own containers.
    env = {text(entry.get("name")): entry for entry in objects(collector.get("env"))}
    for name in _OPERATORS_OWN:
        if name in env:
            yield Finding(f"{field}[{name}]", SET, "nothing: the operator sets it itself")
    backend = text(at(env, "STORAGE_BACKEND", "value"))
    if not backend:
        yield Finding(
            f"{field}[STORAGE_BACKEND]", None, f"a literal value: {', '.join(sorted([*_NEEDED, 'AZUREBLOB']))}"
        )
        return
    for names in _needed(backend.upper(), env):
        if not any(_has_value(env, name) for name in names):
            yield Finding(f"{field}[{names[0]}]", None, f"{' or '.join(names)}, as STORAGE_BACKEND is {backend}")


def _needed(backend: str, env: Object) -> list[tuple[str, ...]]:
    """What must be set, each with its alternatives. Other backends are the collector's own business."""
    if backend != "AZUREBLOB":
        return [(name,) for name in _NEEDED.get(backend, ())]
    mode = text(at(env, "AZURE_STORAGE_AUTH_MODE", "value")).strip().lower()
    return [_AZURE_NEEDED.get(mode, (_CONNECTION, _ACCOUNT))]


def _has_value(env: Object, name: str) -> bool:
    entry = mapping(env.get(name))
    return bool(entry.get("value")) or entry.get("valueFrom") is not None
