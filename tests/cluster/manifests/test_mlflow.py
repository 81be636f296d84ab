"""MLflow's manifests against MLflow: the hosts that it answers to, and its schema."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow.server.security_utils import is_allowed_host_header

from cluster import mlflow_schema
from tests.cluster.manifests.rendering import render


def data(name: str) -> dict[str, str]:
    found: dict[str, str] = next(
        obj["data"] for obj in render("base") if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", name)
    )
    return found


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        (urlsplit(data("tidegate-settings")["TIDEGATE_MLFLOW_TRACKING_URI"]).netloc, True),
        ("tidegate-mlflow.tidegate.svc.cluster.local:5000", True),
        ("localhost:5001", True),  # kubectl port-forward
        ("tidegate-mlflow.example.org:5000", False),
    ],
)
def test_mlflow_answers_to_the_names_of_its_service_only(host: str, answered: bool) -> None:
    allowed = data("tidegate-mlflow")["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert is_allowed_host_header(allowed, host) is answered


def test_schema_is_created_once_and_then_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    monkeypatch.setenv(mlflow_schema.VARIABLE, f"sqlite:///{file}")
    versions = []
    for _ in range(2):
        assert mlflow_schema.main([]) == 0
        with sqlite3.connect(file) as connection:
            versions.append(connection.execute("SELECT version_num FROM alembic_version").fetchall())
    assert versions[0] == versions[1] != []


def test_missing_driver_is_named_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(mlflow_schema.VARIABLE, "postgresql://user:hunter2@localhost/mlflow")
    assert mlflow_schema.main([]) == 2
    said = capsys.readouterr().err
    assert "postgresql+psycopg2://" in said
    assert "hunter2" not in said


def test_missing_address_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(mlflow_schema.VARIABLE, raising=False)
    assert mlflow_schema.main([]) == 2
    assert mlflow_schema.VARIABLE in capsys.readouterr().err
