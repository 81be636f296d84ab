"""A byte-level decoder over the source of Python's standard library: the model that shows every layout.

``recipe`` implements ``app.training.recipe``; ``corpus`` and ``windows`` make its rows; ``bytelm_decoder`` is the
plain model in one of ``named_sizes``; ``parallel_plan`` names its cut points; ``package`` and ``scoring`` make it an
MLflow model. Workers import neither of the last two.
"""

from app.recipes.bytelm.recipe import ByteLMConfig, ByteLMRecipe

__all__ = ["ByteLMConfig", "ByteLMRecipe"]
