"""The health of each part, asked over the wire as its clients would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import redis

from app.gateway.grpc.messages import CLASSES, SERVICE
from app.releases.model.names import APP, HEALTH_PATH, PREFIX
from app.settings import get_settings
from cluster.local.dashboard import Dashboard
from cluster.local.errors import StackError
from cluster.local.gateway import SOURCE
from cluster.local.listeners import LOOPBACK
from cluster.local.programs import NODE_LABEL
from cluster.local.records import Desired

NodeTest = Callable[[dict[str, Any]], bool]
READY_PATH = "/v2/health/ready"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """An answer. ``detail`` says what is wrong where ``healthy`` is false."""

    healthy: bool
    version: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A part's line of ``status``."""

    name: str
    address: str
    pid: int | None
    healthy: bool
    version: str
    detail: str


def redis_health(desired: Desired, password: str | None) -> Health:
    """Asks Redis by PING with the password."""
    client = redis.Redis.from_url(
        desired.redis_address, password=password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        client.ping()
        info = client.info("server")
        name = "valkey" if "valkey_version" in info else "redis"
        return Health(True, f"{name} {info.get('valkey_version') or info['redis_version']}")
    except redis.RedisError as error:
        return Health(False, detail=str(error))
    finally:
        client.close()


def mlflow_health(desired: Desired) -> Health:
    """Asks MLflow by ``/health`` and ``/version``."""
    try:
        with httpx.Client(base_url=mlflow_url(desired), timeout=TIMEOUT_S, trust_env=False) as client:
            client.get("/health").raise_for_status()
            return Health(True, client.get("/version").raise_for_status().text.strip())
    except httpx.HTTPError as error:
        return Health(False, detail=_said(error))


def dashboard_health(desired: Desired) -> Health:
    """Asks the dashboard by ``/api/version``, with the token."""
    try:
        with Dashboard(dashboard_url(desired)) as dashboard:
            return Health(True, f"ray {dashboard.version()}")
    except httpx.HTTPError as error:
        return Health(False, detail=_said(error))


def head_health(desired: Desired) -> Health:
    """Healthy where the dashboard answers and the head is alive in its table."""
    return _node(desired, lambda node: bool(node["is_head_node"]), "the head")


def node_health(desired: Desired, name: str) -> Health:
    """Healthy where the extra node ``name`` is alive."""
    return _node(desired, lambda node: (node.get("labels") or {}).get(NODE_LABEL) == name, name)


def gateway_health(desired: Desired) -> Health:
    """Healthy where Serve says RUNNING and the gateway says ready.

    Raises:
        StackError: the deployment has failed for good; the message is Serve's.
    """
    found = _application_health(desired, get_settings().gateway.app_name, READY_PATH)
    refused = _grpc_refused(desired) if found.healthy else None
    return Health(False, detail=refused) if refused else found


def releases_health(desired: Desired) -> Health:
    """Healthy where Serve says RUNNING and the releases' application says ready at the gateway's address.

    Raises:
        StackError: the deployment has failed for good; the message is Serve's.
    """
    return _application_health(desired, APP, HEALTH_PATH)


def _application_health(desired: Desired, name: str, path: str) -> Health:
    try:
        with Dashboard(dashboard_url(desired)) as dashboard:
            found = dashboard.serve()["applications"].get(name)
        if found is None:
            return Health(False, detail=f"Serve has no application {name}")
        if found["status"] == "DEPLOY_FAILED":
            raise StackError(f"Serve could not deploy {name}: {found['message'].strip()}")
        if found["status"] != "RUNNING":
            return Health(False, detail=f"Serve says {found['status']}")
        config = found.get("deployed_app_config") or {}
        source = (config.get("runtime_env") or {}).get("env_vars", {}).get(SOURCE, "")
        httpx.get(gateway_url(desired) + path, timeout=TIMEOUT_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        return Health(False, detail=_said(error))
    return Health(True, f"source {source}")


def dashboard_url(desired: Desired) -> str:
    """Returns the address of the dashboard."""
    return f"http://{LOOPBACK}:{desired.ports.dashboard}"


def gateway_url(desired: Desired) -> str:
    """Returns the address of the gateway."""
    return f"http://{LOOPBACK}:{desired.ports.gateway}"


def releases_url(desired: Desired) -> str:
    """Returns the address of the releases, at the gateway's."""
    return gateway_url(desired) + PREFIX


def mlflow_url(desired: Desired) -> str:
    """Returns the address of MLflow."""
    return f"http://{LOOPBACK}:{desired.ports.mlflow}"


def grpc_url(desired: Desired) -> str:
    """Returns the address of the gateway for gRPC."""
    return f"{LOOPBACK}:{desired.ports.grpc}"


def _grpc_refused(desired: Desired) -> str | None:
    """Returns the reason why the gateway is not ready over gRPC, or ``None``."""
    with grpc.insecure_channel(grpc_url(desired), options=[("grpc.enable_http_proxy", 0)]) as channel:
        ready = channel.unary_unary(
            f"/{SERVICE}/ServerReady",
            request_serializer=CLASSES["ServerReadyRequest"].SerializeToString,
            response_deserializer=CLASSES["ServerReadyResponse"].FromString,
        )
        try:
            # By name: until the releases run, calls that name no application are not found.
            name = (("application", get_settings().gateway.app_name),)
            answer = ready(CLASSES["ServerReadyRequest"](), timeout=TIMEOUT_S, metadata=name)
        except grpc.RpcError as error:
            return f"gRPC on port {desired.ports.grpc}: {error.details()}"
    return None if answer.ready else "route tables have not been read yet"


def _node(desired: Desired, chosen: NodeTest, name: str) -> Health:
    try:
        with Dashboard(dashboard_url(desired)) as dashboard:
            version = dashboard.version()
            alive = [node for node in dashboard.nodes() if chosen(node) and node["state"] == "ALIVE"]
    except httpx.HTTPError as error:
        return Health(False, detail=_said(error))
    except (KeyError, TypeError, ValueError):
        return Health(False, detail="the dashboard has no table of nodes yet")
    if not alive:
        return Health(False, detail=f"{name} is not among the live nodes")
    return Health(True, f"ray {version}", f"{alive[0]['resources_total'].get('CPU', 0):g} CPUs")


def _said(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.url.path} answers {error.response.status_code}"
    return str(error) or type(error).__name__
