"""The declared Serve applications: the gateway, and the releases beside it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from app.gateway.grpc.servicer import ADD_INFERENCE_SERVICE
from app.releases.model.names import APP, PREFIX
from app.settings import get_settings
from cluster.local.dashboard import Dashboard
from cluster.local.errors import StackError
from cluster.local.listeners import LOOPBACK
from cluster.local.records import Desired

SOURCE = "_TIDEGATE_SOURCE"


def declare(dashboard: Dashboard, desired: Desired) -> bool:
    """Declare gateway and releases unless they are as they should be. Returns whether a roll-out began.

    The digest of the source tree is part of the declaration, so changed code is rolled out and unchanged code is
    not. Applications that somebody else declared are declared along, because Serve deletes what a declaration
    leaves out; those made by ``serve.run`` are never touched by one.
    """
    running = dashboard.serve()["applications"]
    declared = applications(desired)
    if all(_is_as_declared(running.get(each["name"]), each) for each in declared):
        return False
    names = {each["name"] for each in declared}
    others = [
        each["deployed_app_config"]
        for name, each in running.items()
        if name not in names and each.get("source") == "declarative" and each["status"] != "DELETING"
    ]
    dashboard.put_serve(
        {
            # One proxy, on the head: further nodes of this machine would need ports and files of their own for
            # theirs, and nothing here balances between several doors.
            "proxy_location": "HeadOnly",
            "http_options": {"host": LOOPBACK, "port": desired.ports.gateway},
            "grpc_options": {
                "port": desired.ports.grpc,
                "grpc_servicer_functions": [ADD_INFERENCE_SERVICE],
                "enable_reflection": False,  # the function above adds it
            },
            "applications": [*others, *declared],
        }
    )
    return True


def applications(desired: Desired) -> list[dict[str, Any]]:
    """Returns our part of the declaration."""
    return [
        _application(get_settings().gateway.app_name, "/", desired.gateway_import_path),
        _application(APP, PREFIX, desired.releases_import_path),
    ]


def _application(name: str, route_prefix: str, import_path: str) -> dict[str, Any]:
    return {
        "name": name,
        "route_prefix": route_prefix,
        "import_path": import_path,
        "args": {},
        "runtime_env": {"env_vars": {SOURCE: source_digest(import_path)}},
    }


def _is_as_declared(found: dict[str, Any] | None, declared: dict[str, Any]) -> bool:
    if found is None or found["status"] in ("DEPLOY_FAILED", "UNHEALTHY", "DELETING"):
        return False
    deployed = found.get("deployed_app_config") or {}
    return all(deployed.get(name) == value for name, value in declared.items())


def source_digest(import_path: str) -> str:
    """Returns the SHA-256 over names and contents of the top-level package of ``import_path``, 16 hex digits.

    Raises:
        StackError: Python does not find it.
    """
    top = import_path.partition(":")[0].partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise StackError(f"{import_path}: Python finds no package {top}.")
    origin = Path(spec.origin)
    files = [origin]
    if spec.submodule_search_locations:
        files = sorted(each for each in origin.parent.rglob("*") if each.is_file() and each.suffix != ".pyc")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(origin.parent)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
