"""A ``Kube`` of a fake API server, which answers only what it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import kubernetes
import pytest

from cluster.kube.api import Kube
from jobs.cli import main
from tests.support.fake_api_server import Exchange, FakeApiServer, composed, recorded

RAY = "/apis/ray.io/v1"


def resources(group_version: str, *kinds: tuple[str, str, bool]) -> Exchange:
    """The discovery of a group: of ``ray.io/v1`` it is recorded, of the others in this shape."""
    base = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    found = [{"kind": kind, "name": plural, "namespaced": namespaced} for kind, plural, namespaced in kinds]
    answer = {"kind": "APIResourceList", "groupVersion": group_version, "resources": found}
    return composed("only the discovery of ray.io is recorded", "GET", base, answer)


def discovery() -> list[Exchange]:
    """The discovery of every group that the tests use."""
    return [
        recorded("01_discovery", "resources of ray.io/v1"),
        resources(
            "v1",
            ("Namespace", "namespaces", False),
            ("ConfigMap", "configmaps", True),
            ("Secret", "secrets", True),
            ("Service", "services", True),
            ("Pod", "pods", True),
            ("Event", "events", True),
            ("PersistentVolumeClaim", "persistentvolumeclaims", True),
        ),
        resources("apps/v1", ("Deployment", "deployments", True), ("StatefulSet", "statefulsets", True)),
        resources("autoscaling/v2", ("HorizontalPodAutoscaler", "horizontalpodautoscalers", True)),
    ]


def tidegate_kube(*arguments: str) -> int:
    """Exit code of ``tidegate kube`` with these arguments."""
    return main(["kube", *arguments])


@dataclass(frozen=True)
class ServedKube:
    """A fake server and its client."""

    server: FakeApiServer
    kube: Kube


Serve = Callable[..., ServedKube]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these exchanges; at the end nothing else may have been asked."""
    servers: list[FakeApiServer] = []

    def start(*exchanges: Exchange, in_order: bool = False, **options: Any) -> ServedKube:
        server = FakeApiServer(exchanges if in_order else [*discovery(), *exchanges], in_order)
        servers.append(server)
        configuration = kubernetes.client.Configuration(host=server.url)
        given: dict[str, Any] = {"field_manager": "rayplat", "timeout_s": 5.0, **options}
        return ServedKube(server, Kube(kubernetes.client.ApiClient(configuration), **given))

    yield start
    for server in servers:
        server.close()
    assert [problem for server in servers for problem in server.unexpected] == []
    assert [asked for server in servers for asked in server.unused()] == []
