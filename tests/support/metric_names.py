"""The metrics that there are, with their labels: ours from the code that makes them, Ray's and HAProxy's from a list.

Names are as Prometheus has them: Ray puts ``ray_`` before them, and ``_total`` behind counters.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.training.tracking import gauges

APP = Path(__file__).parents[2] / "app"
TARGET = frozenset({"namespace", "pod", "job", "endpoint", "container", "ray_io_cluster", "ray_io_group"})
"""Labels that the scrape adds (components/monitoring/pod-monitors.yaml)."""
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_KINDS = {"Counts": "counter", "Levels": "gauge", "Latency": "histogram"}


@dataclass(frozen=True, slots=True)
class Known:
    """A metric of Ray's: where the installed package has its name, its type, and the labels of it that are read."""

    where: str
    kind: str
    labels: frozenset[str] = frozenset()
    words: str = ""
    """What to look for there; empty: the name."""


_REPORTER = "dashboard/modules/reporter/reporter_agent.py"
_GCS, _RAYLET = "core/src/ray/gcs/gcs_server", "core/src/ray/raylet/raylet"


def _known(where: str, kind: str, *labels: str, words: str = "") -> Known:
    return Known(where, kind, frozenset(labels), words)


OF_RAY = {
    "cluster_active_nodes": _known(_REPORTER, "gauge", "node_type"),
    "cluster_failed_nodes": _known(_REPORTER, "gauge", "node_type"),
    "cluster_pending_nodes": _known(_REPORTER, "gauge", "node_type"),
    "gcs_actors_count": _known(_GCS, "gauge", "State"),
    "gcs_storage_operation_latency_ms": _known(_GCS, "histogram", "Operation"),
    "health_check_rpc_latency_ms": _known(_GCS, "histogram"),
    "node_cpu_count": _known(_REPORTER, "gauge"),
    "node_cpu_utilization": _known(_REPORTER, "gauge"),
    "node_disk_utilization_percentage": _known(_REPORTER, "gauge"),
    "node_gpus_utilization": _known(_REPORTER, "gauge"),
    "node_mem_total": _known(_REPORTER, "gauge"),
    "node_mem_used": _known(_REPORTER, "gauge"),
    "object_store_memory": _known(_RAYLET, "gauge", "Location"),
    "resources": _known(_RAYLET, "gauge", "Name", "State", words="Logical Ray resources broken per state"),
    "serve_application_status": _known("serve/_private/application_state.py", "gauge", "application"),
    "serve_deployment_replica_healthy": _known(
        "serve/_private/deployment_state.py", "gauge", "application", "deployment", "replica"
    ),
    "serve_deployment_status": _known("serve/_private/deployment_state.py", "gauge", "application", "deployment"),
    "serve_proxy_status": _known("serve/_private/proxy_state.py", "gauge", "node_id", "node_ip_address"),
}
OF_OTHERS = {
    "up": frozenset[str](),
    "haproxy_backend_active_servers": frozenset({"proxy"}),
    "haproxy_frontend_current_sessions": frozenset({"proxy"}),
    "haproxy_frontend_http_responses_total": frozenset({"proxy", "code"}),
    "haproxy_process_uptime_seconds": frozenset[str](),
}
"""Prometheus' own, and of HAProxy's exporter those that the PodMonitor keeps."""


@cache
def of_the_app() -> dict[str, tuple[str, frozenset[str]]]:
    """Every metric that ``app`` makes: its type and its labels, without the prefix."""
    found = {name: ("gauge", frozenset({"model"})) for name in gauges._MEANINGS}
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _KINDS:
                name, _, *labels = (ast.literal_eval(argument) for argument in node.args)
                flat = labels[0] if labels and isinstance(labels[0], tuple) else tuple(labels)
                found[name] = (_KINDS[node.func.id], frozenset(flat))
    return found


@cache
def in_prometheus() -> dict[str, frozenset[str]]:
    """Every series by its name there, with all labels that it may be asked for."""
    metrics = of_the_app() | {name: (known.kind, known.labels) for name, known in OF_RAY.items()}
    found: dict[str, frozenset[str]] = {name: labels | TARGET for name, labels in OF_OTHERS.items()}
    for name, (kind, labels) in metrics.items():
        for suffix in _SUFFIXES[kind]:
            found[f"ray_{name}{suffix}"] = labels | TARGET | ({"le"} if suffix == "_bucket" else set())
    return found
