"""Reading a real registry, and writing to it. It is its own: a running controller would answer too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
from mlflow import MlflowClient

from app.registry import RegistryError, connect
from app.releases.control.release_admission import ReleaseAdmissionError, candidate
from app.releases.model.release_request import mark_of
from app.releases.model.tags import PLAN_TAG
from app.releases.registry import reader as registry_view
from app.releases.registry.reader import RegistryReader
from app.settings import MlflowSettings, Settings
from tests.support.models import log_scorer


def versions(registry: MlflowClient, model: str, count: int) -> None:
    registry.create_registered_model(model)
    for _ in range(count):
        registry.create_model_version(model, "s3://nowhere/model")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[MlflowSettings]:
    """A registry in a file. MLflow's addresses are the process's: they are given back."""
    addresses = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield MlflowSettings(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="tests")
    mlflow.set_tracking_uri(addresses[0])
    mlflow.set_registry_uri(addresses[1])


def test_requests_are_found_page_by_page_until_they_are_marked(
    own: MlflowSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = connect(own)
    monkeypatch.setattr(registry_view, "PAGE", 1)
    versions(registry, "view-tags", 3)  # no plan of its own, and not served
    versions(registry, "view-alias", 2)
    versions(registry, "view-served", 1)
    registry.set_model_version_tag("view-tags", "2", PLAN_TAG, "bold")
    registry.set_model_version_tag("view-tags", "3", PLAN_TAG, "bold")
    registry.set_registered_model_tag("view-alias", PLAN_TAG, "strategy: canary")
    registry.set_registered_model_alias("view-alias", "challenger", "2")
    registry.set_registered_model_alias("view-served", "challenger", "1")
    view = RegistryReader(own)

    def seen(*served: str) -> list[tuple[str, str, str | None]]:
        found = [each for each in view.requests(served) if each.model.startswith("view-")]
        return [(each.model, each.version, each.plan) for each in found]

    by_alias, by_tag = ("view-alias", "2", None), [("view-tags", "2", "bold"), ("view-tags", "3", "bold")]
    assert seen() == [by_alias, *by_tag]
    assert seen("view-served", "view-gone") == [by_alias, ("view-served", "1", None), *by_tag]
    for request in view.requests(()):
        if request.model == "view-tags":
            view.mark(request, "refused: " + "x" * 9000)
    assert seen() == [by_alias]
    assert len(registry.get_model_version("view-tags", "2").tags[mark_of("bold")]) == registry_view.TAG_LENGTH
    registry.set_model_version_tag("view-alias", "2", "tidegate.release", "r1")
    assert seen() == []


def test_a_registry_that_is_away_says_so(own: MlflowSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    view = RegistryReader(own.model_copy(update={"tracking_uri": "http://127.0.0.1:1"}))
    with pytest.raises(RegistryError, match="does not answer"):
        view.requests(())


def test_a_version_that_cannot_be_served_is_refused_and_not_waited_for(
    settings: Settings, registry: MlflowClient
) -> None:
    assert settings.gateway.admin_key is not None
    model = "view-unservable"
    version = log_scorer(model)
    registry.set_registered_model_tag(model, "tidegate.serving", '{"replicas": 2}')
    with pytest.raises(ReleaseAdmissionError, match=f"version {version}: serving entry of {model}: unknown replicas"):
        candidate(registry, model, version, settings.serving)
    key = settings.gateway.admin_key.get_secret_value()
    plan = {"strategy": "canary", "steps": [{"weight": 0.1, "gate": "person"}]}
    answer = httpx.post(
        f"{settings.gateway.url}/releases",
        json={"model": model, "version": version, "plan": plan},
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
    )
    assert answer.status_code == 400
    assert "unknown replicas" in answer.json()["error"]
