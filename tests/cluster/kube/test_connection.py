"""Choice of the API server: kubectl's rules, on files of the tests."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kube import connection
from cluster.kube.connection import connect, namespace_of, platform_namespace
from cluster.kube.errors import PermissionDeniedError, UnreachableError, UsageError
from cluster.kube.manifest import Key, Object
from cluster.kube.options import Access
from tests.cluster.kube.conftest import tidegate_kube
from tests.cluster.kube.recorded import Recorded

PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "no-such-plugin"}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def _config(
    path: Path, name: str, *, current: bool = True, user: dict[str, Any] | None = None, **context: str
) -> Path:
    config: dict[str, Any] = {
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.example:6443"}}],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name} | context}],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(config | ({"current-context": name} if current else {})))
    return path


def _options(**given: Any) -> Access:
    return Access(**given)


def test_kubeconfig_of_the_home_folder_is_the_default(tmp_path: Path) -> None:
    _config(tmp_path / ".kube" / "config", "home")
    assert connect().server == "http://home.example:6443"


def test_first_current_context_of_several_files_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _config(tmp_path / "1", "one", current=False)
    second, third = _config(tmp_path / "2", "two", namespace="here"), _config(tmp_path / "3", "three")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}:{third}")
    assert connect().server == "http://two.example:6443"
    assert connect(context="three").server == "http://three.example:6443"
    assert namespace_of(_options()) == "here"
    assert namespace_of(_options(context="one")) == "tidegate"
    assert namespace_of(_options(namespace="given")) == "given"
    assert connect(_config(tmp_path / "4", "four")).server == "http://four.example:6443"


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("{", None, "cannot be read"),
        ("- a list", None, "cannot be read"),
        ("contexts: []", None, "has no current context"),
        ("current-context: x", None, "has no context 'x'; it has: none"),
        ("current-context: x", "y", "has no context 'y'"),
    ],
)
def test_a_broken_kubeconfig_is_explained(tmp_path: Path, text: str, context: str | None, message: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(UsageError, match=message):
        connect(tmp_path / "config", context)


def test_missing_kubeconfig_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no kubeconfig at ~/.kube/config: name one by --kubeconfig or KUBECONFIG"):
        connect()
    with pytest.raises(UsageError, match=r"no kubeconfig at .*/gone"):
        connect(tmp_path / "gone")
    assert namespace_of(_options()) == "tidegate"


def _service(namespace: str) -> Object:
    return {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": "tidegate", "namespace": namespace}}


class _Refusing(Recorded):
    def find(self, key: Key) -> Object | None:
        raise PermissionDeniedError("get: no rights", status=403)


@pytest.mark.parametrize(
    ("kube", "context", "given", "found"),
    [
        (Recorded(_service("tidegate")), "default", None, "tidegate"),
        (Recorded(_service("tidegate")), "default", "default", "default"),
        (Recorded(_service("tidegate"), _service("blue")), "blue", None, "blue"),
        (Recorded(), "default", None, "default"),
        (_Refusing(_service("tidegate")), "default", None, "default"),
    ],
)
def test_namespace_with_the_only_rayservice_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kube: Recorded, context: str, given: str | None, found: str
) -> None:
    config = _config(tmp_path / "config", "one", namespace=context)
    assert platform_namespace(kube, _options(kubeconfig=config, namespace=given)) == found
    moved = "namespace default has no RayService tidegate, tidegate has: taking that one (-n names another)\n"
    assert capsys.readouterr().err == (moved if found == "tidegate" else "")


@pytest.mark.parametrize("verb", [("status",), ("logs", "head"), ("scale", "training", "1")])
def test_verbs_without_manifests_look_for_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    kube = Recorded(_service("tidegate"))
    monkeypatch.setattr(kube, "get", kube.find, raising=False)
    monkeypatch.setattr(f"cluster.kube.verbs.{verb[0]}.connect", lambda *_, **__: kube)
    tidegate_kube(*verb, "--kubeconfig", str(_config(tmp_path / "config", "one", namespace="default")))
    assert "tidegate has: taking that one" in capsys.readouterr().err


def test_failed_login_plugin_raises_unreachable(tmp_path: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    config = _config(tmp_path / "config", "cloud", user={"exec": PLUGIN})
    with pytest.raises(UnreachableError, match=r"login plugin 'no-such-plugin' gave no credentials: .*No such file"):
        connect(config)
    assert logging.getLogger().handlers == handlers


def test_service_account_is_taken_without_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    for name, text in (("token", "t"), ("ca.crt", "certificate"), ("namespace", "apps")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(connection, "_ACCOUNT", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    # The certificate is no certificate, which is seen when the pool is made.
    monkeypatch.setattr("kubernetes.client.rest.urllib3.PoolManager", lambda **options: options)
    assert connect().server == "https://10.0.0.1:443"
    assert namespace_of(_options()) == "apps"
    with pytest.raises(UsageError, match="no kubeconfig at"):
        connect(context="other")
