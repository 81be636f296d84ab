"""The metadata that travels with a logged model."""

from __future__ import annotations

import pytest
import yaml
from mlflow.models import Model

from app.features import from_document, to_document
from app.recipes.flights.columns import FEATURES
from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe, signature
from app.registry import FEATURE_VIEWS_KEY, FEATURES_KEY, spec_of
from tests.features.views import TAIL


def test_views_come_back_from_a_models_metadata() -> None:
    views = tuple(view.declaration for view in FlightsRecipe(FlightsConfig()).feature_views)
    metadata = {FEATURES_KEY: list(FEATURES["online"]), FEATURE_VIEWS_KEY: list(map(to_document, (*views, TAIL)))}
    logged = Model(signature=signature("online"), metadata=metadata)
    held = Model.from_dict(yaml.safe_load(logged.to_yaml()))
    spec = spec_of("flights", "1", held)
    assert tuple(map(from_document, spec.feature_views)) == (*views, TAIL)
    assert spec.features == FEATURES["online"]


@pytest.mark.parametrize("metadata", [None, {}])
def test_a_model_without_views_has_none(metadata: dict[str, object] | None) -> None:
    assert spec_of("flights", "1", Model(signature=signature("static"), metadata=metadata)).feature_views == ()
