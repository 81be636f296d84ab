"""Recipes: each brings a model, its data, its loss and its feature views; ``fingerprint`` recognises its data.

``flights`` is tabular, on real data; ``bytelm`` a byte-level decoder that shows every layout; ``examples``
are to copy.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.training.config.train_config import ConfigError, explain
from app.training.recipe import Recipe

__all__ = ["SHIPPED", "find_recipe"]

SHIPPED = {"bytelm": "app.recipes.bytelm:ByteLMRecipe", "flights": "app.recipes.flights:FlightsRecipe"}
"""Address of a recipe's class by its name. The class has a ``Config`` (pydantic) that its constructor takes."""


def find_recipe(name: str, options: Mapping[str, Any]) -> Recipe:
    """The recipe ``name`` (shipped, or ``package.module:Class``), configured by ``options``.

    Raises:
        ConfigError: there is no such recipe, or its configuration refuses an option.
    """
    place = SHIPPED.get(name, name)
    module_name, colon, class_name = place.partition(":")
    if not colon:
        raise ConfigError(
            f"recipe = {name!r}: accepted are {', '.join(SHIPPED)}, or package.module:Class of your own"
        )
    try:
        recipe_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"recipe = {name!r}: {error}") from error
    try:
        recipe: Recipe = recipe_class(recipe_class.Config.model_validate(dict(options)))
    except ValidationError as error:
        raise ConfigError(explain(error, "options")) from None
    return recipe
