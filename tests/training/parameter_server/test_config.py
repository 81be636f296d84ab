"""Configurations of parameter servers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.training.parameter_server.config import ParameterServerConfig


@pytest.mark.parametrize(
    ("values", "bound"),
    [
        ({}, 0),
        ({"mode": "asynchronous"}, None),
        ({"mode": "stale_synchronous"}, 2),
        ({"mode": "stale_synchronous", "staleness": 0}, 0),
        ({"mode": "stale_synchronous", "staleness": 7}, 7),
    ],
)
def test_bound_of_each_mode(values: dict[str, Any], bound: int | None) -> None:
    config = ParameterServerConfig.model_validate(values)
    assert config.bound == bound
    assert ParameterServerConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"servers": 0}, "servers\n.*greater than or equal to 1"),
        ({"mode": "eventual"}, "mode\n.*'synchronous', 'asynchronous' or 'stale_synchronous'"),
        ({"mode": "stale_synchronous", "staleness": -1}, "staleness\n.*greater than or equal to 0"),
        ({"staleness": 2}, "staleness = 2: mode synchronous has no bound to set"),
        ({"mode": "asynchronous", "staleness": 0}, "staleness = 0: mode asynchronous has no bound to set"),
        ({"deadline_s": 0}, "deadline_s\n.*greater than 0"),
        ({"shards": 2}, "shards\n.*not permitted"),
    ],
)
def test_staleness_without_a_bound_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ParameterServerConfig.model_validate(values)
