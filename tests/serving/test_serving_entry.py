"""Serving entries: per model, overridden per version, checked in one place."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow import MlflowClient

from app.model_spec import ModelSpec
from app.registry import SERVING_TAG, UnservableError
from app.serving.batch import metadata_of
from app.serving.deploy import configured
from app.serving.serving_entry import merged, serving_settings
from app.settings import ServingSettings


def registry(of_model: dict[str, Any] | None, of_versions: dict[str, dict[str, Any]]) -> MlflowClient:
    """A registry that holds one model, whose versions may have entries of their own."""

    def tags(entry: dict[str, Any] | None) -> dict[str, str]:
        return {} if entry is None else {SERVING_TAG: json.dumps(entry)}

    return cast(
        MlflowClient,
        SimpleNamespace(
            get_registered_model=lambda model: SimpleNamespace(tags=tags(of_model)),
            get_model_version=lambda model, version: SimpleNamespace(
                version=version, tags=tags(of_versions.get(version))
            ),
        ),
    )


def test_entry_of_a_version_overrides_the_models_field_by_field() -> None:
    client = registry(
        {"max_replicas": 3, "cache_ttl_s": 5.0, "node_labels": {"role": "serving"}},
        {"2": {"max_replicas": 8, "num_gpus": 1, "batch_rows": 16, "node_labels": {"role": "gpu"}}},
    )
    first = serving_settings(client, "flights", "1", ServingSettings())
    second = serving_settings(client, "flights", "2", ServingSettings())
    assert (first.max_replicas, first.num_gpus, first.cache_ttl_s) == (3, 0, 5.0)
    assert (second.max_replicas, second.num_gpus, second.cache_ttl_s) == (8, 1, 5.0)

    deployment = configured(second)  # what Serve is told follows from the entry alone
    options = deployment._replica_config.ray_actor_options
    assert (options["num_gpus"], options["label_selector"]) == (1, {"role": "gpu"})
    assert deployment._deployment_config.autoscaling_config.max_replicas == 8
    spec = ModelSpec("flights", "2", (), (), columns=True)
    assert metadata_of(spec, second).batch_rows == 16  # and what the gateway replicas are told


def test_without_entries_the_defaults_hold() -> None:
    defaults = ServingSettings(max_replicas=5)
    assert serving_settings(registry(None, {}), "flights", "1", defaults) == defaults


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", r"tag tidegate.serving of version 2 of flights must hold a JSON object; it holds '\[1\]'"),
        ('{"replicas": 2}', "serving entry of version 2 of flights: unknown replicas; accepted are min_replicas"),
        ('{"min_replicas": -1}', "version 2 of flights: min_replicas -1: Input should be greater"),
        ('{"min_replicas": 3}', "min_replicas 3 is more than max_replicas 2"),
        ('{"schema": "x"}', "schema 'x': accepted is a whole number from 1"),
        ('{"schema": 1, "later": 2}', "unknown later; accepted are"),
    ],
)
def test_entry_that_cannot_be_honoured_is_refused_with_its_owner_and_field(text: str, sentence: str) -> None:
    with pytest.raises(UnservableError, match=sentence):
        merged(ServingSettings(), [("flights", None), ("version 2 of flights", text)])


def test_unknown_field_of_a_newer_schema_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps({"schema": 2, "max_replicas": 4, "warm_pool": {"size": 2}})
    assert merged(ServingSettings(), [("flights", text)]).max_replicas == 4
    assert "serving entry of flights, schema 2: warm_pool not known here, ignored" in caplog.text
