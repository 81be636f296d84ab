"""Connection to the API server and account that kubectl would take.

``--kubeconfig`` names one file; else ``KUBECONFIG`` names some, which are merged (of two entries of one name, the
first file's counts; of several current contexts, the first); else ``~/.kube/config``. Where none of these is there
and neither a file nor a context was asked for, a pod's own account is taken.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import yaml
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from cluster.kube.api import Kube
from cluster.kube.errors import MissingKindError, PermissionDeniedError, UnreachableError, UsageError
from cluster.kube.manifest import Key
from cluster.kube.options import Access
from cluster.kube.reader import Reader

DEFAULT_NAMESPACE = "tidegate"
SERVICE = "tidegate"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_USER_AGENT = "tidegate/0.1.0"


def connect(
    kubeconfig: Path | None = None, context: str | None = None, *, warn: Callable[[str], None] = lambda text: None
) -> Kube:
    """The API server that kubectl would speak to; nothing is sent yet.

    Args:
        kubeconfig: the one file to read.
        context: which of its contexts; by default its current one.
        warn: takes what the server warns of later on.

    Raises:
        UsageError: no kubeconfig, an unreadable one, or no such context in it.
        UnreachableError: the context's login plugin gave no credentials.
    """
    configuration = kubernetes.client.Configuration()
    configuration.keep_alive = True  # finds a dead peer under a log that is followed
    files = _files(kubeconfig)
    if not files and kubeconfig is None and context is None and _in_pod():
        try:
            kubernetes.config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise UsageError(f"this pod's service account cannot be used: {error}") from error
    else:
        config, name = _context(files, kubeconfig, context)
        _load(config, name, configuration)
    client = kubernetes.client.ApiClient(configuration)
    client.user_agent = _USER_AGENT
    return Kube(client, warn=warn)


def namespace_of(access: Access | argparse.Namespace) -> str:
    """``-n``, else the context's namespace, else the pod's own, else ``tidegate``.

    Raises:
        UsageError: as ``connect`` does; a machine without any kubeconfig is no error here.
    """
    if access.namespace:
        return str(access.namespace)
    files = _files(access.kubeconfig)
    if files or access.kubeconfig is not None or access.context is not None:
        config, name = _context(files, access.kubeconfig, access.context)
        found = _named(config, "contexts", name).get("context") or {}
        return str(found.get("namespace") or DEFAULT_NAMESPACE)
    if _in_pod() and (_ACCOUNT / "namespace").is_file():
        return (_ACCOUNT / "namespace").read_text().strip() or DEFAULT_NAMESPACE
    return DEFAULT_NAMESPACE


def platform_namespace(kube: Reader, access: Access | argparse.Namespace, service: str = SERVICE) -> str:
    """The namespace of :func:`namespace_of`; without ``-n``, ``tidegate`` where only that one has the RayService.

    The manifests put the platform there, whatever the context says; a verb without them cannot know it. Where
    the look is refused it changes nothing.
    """
    namespace = namespace_of(access)
    if access.namespace or namespace == DEFAULT_NAMESPACE:
        return namespace
    here, there = (Key("ray.io/v1", "RayService", service, each) for each in (namespace, DEFAULT_NAMESPACE))
    try:
        if kube.find(here) or not kube.find(there):
            return namespace
    except (PermissionDeniedError, MissingKindError):
        return namespace
    found = f"{DEFAULT_NAMESPACE} has: taking that one (-n names another)"
    print(f"namespace {namespace} has no RayService {service}, {found}", file=sys.stderr)
    return DEFAULT_NAMESPACE


def _in_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and (_ACCOUNT / "token").is_file()


def _files(kubeconfig: Path | None) -> list[Path]:
    """The files that are there; of several, missing ones are left out, as kubectl does."""
    if kubeconfig is not None:
        return [kubeconfig] if kubeconfig.is_file() else []
    named = os.environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]


def _context(files: list[Path], kubeconfig: Path | None, context: str | None) -> tuple[KubeConfigMerger, str]:
    """The merged files and the name of the context that is meant."""
    if not files:
        where = str(kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
        raise UsageError(f"no kubeconfig at {where}: name one by --kubeconfig or KUBECONFIG")
    try:
        # Each file on its own first: the merger takes the last current-context, kubectl the first.
        currents = [(yaml.safe_load(path.read_text()) or {}).get("current-context") for path in files]
        merged = KubeConfigMerger(os.pathsep.join(map(str, files)))  # type: ignore[no-untyped-call]
    except (ConfigException, yaml.YAMLError, OSError, AttributeError, TypeError, KeyError) as error:
        raise UsageError(f"kubeconfig {', '.join(map(str, files))} cannot be read: {error}") from error
    name = context or next((found for found in currents if found), None)
    known = [str(entry["name"]) for entry in merged.config.value.get("contexts") or ()]
    if name is None:
        raise UsageError(f"the kubeconfig has no current context; --context takes one of: {', '.join(known)}")
    if name not in known:
        raise UsageError(f"the kubeconfig has no context {name!r}; it has: {', '.join(known) or 'none'}")
    return merged, str(name)


def _load(merged: KubeConfigMerger, context: str, configuration: kubernetes.client.Configuration) -> None:
    user = _named(merged, "contexts", context).get("context", {}).get("user", "")
    plugin = (_named(merged, "users", user).get("user") or {}).get("exec") if user else None
    with _logged() as messages:
        try:
            loader = KubeConfigLoader(config_dict=merged.config, active_context=context)  # type: ignore[no-untyped-call]
            loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError, KeyError, ValueError) as error:
            raise UsageError(f"context {context!r} of the kubeconfig cannot be used: {error}") from error
    if plugin and not configuration.api_key and not configuration.cert_file:
        # The client only logs what a plugin died of, and would go on without credentials.
        raise UnreachableError(
            f"context {context!r}: the login plugin {plugin.get('command')!r} gave no credentials: "
            f"{'; '.join(messages) or 'it messages nothing'}\n"
            "  install it, or log in again, and try: kubectl cluster-info"
        )


def _named(merged: KubeConfigMerger, kind: str, name: str) -> dict[str, Any]:
    entries = merged.config.value.get(kind) or ()
    return next((entry.value for entry in entries if entry["name"] == name), {})


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Log messages of the client meanwhile, kept instead of printed."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    root, handler = logging.getLogger(), Keep()
    before, root.handlers = root.handlers, [handler]
    try:
        yield messages
    finally:
        root.handlers = before
