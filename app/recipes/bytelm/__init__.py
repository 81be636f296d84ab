"""A byte-level decoder over the source of Python's standard library: the model that shows every layout."""

from app.recipes.bytelm.recipe import ByteLMConfig, ByteLMRecipe

__all__ = ["ByteLMConfig", "ByteLMRecipe"]
