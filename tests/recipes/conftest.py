"""The flights, read and prepared once for all tests of the session."""

from __future__ import annotations

import pandas as pd
import pytest

from app.recipes.flights.data import read_flights, read_weather
from app.recipes.flights.recipe import Prepared, prepared
from app.recipes.flights.table import Table, flight_table


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """All flights with their instants."""
    return read_flights()


@pytest.fixture(scope="session")
def weather() -> pd.DataFrame:
    """All weather observations."""
    return read_weather()


@pytest.fixture(scope="session")
def table() -> Table:
    """All requests with their outcomes."""
    return flight_table("online")


@pytest.fixture(scope="session")
def online() -> Prepared:
    """The data of the configuration ``online``."""
    return prepared("online")


@pytest.fixture(scope="session")
def static() -> Prepared:
    """The data of the configuration ``static``."""
    return prepared("static")
