"""The table of time limits holds what is in force, and each limit leaves time to the ones within it."""

from __future__ import annotations

from pathlib import Path

import app.gateway
from app.gateway.time_limits import EDGE_LIMIT_S, table, time_limits
from app.settings import Settings, variables
from tests.support.edge import EDGE_ROUTE, edge_rule, mesh_rule


def test_every_limit_names_a_variable_that_exists() -> None:
    named = [limit.setting for limit in time_limits(Settings()) if limit.setting.startswith("TIDEGATE_")]
    assert len(named) == 5
    assert set(named) <= set(variables())


def test_a_limit_follows_its_setting() -> None:
    settings = Settings()
    changed = settings.model_copy(update={"routing": settings.routing.model_copy(update={"deadline_s": 7.5})})
    limits = {limit.where: limit.seconds for limit in time_limits(changed)}
    assert limits["routing, all attempts"] == 7.5
    assert "| routing, all attempts | 7.5 s | `TIDEGATE_ROUTING_DEADLINE_S` |" in table(changed)


def test_outer_limits_are_longer_than_inner_ones() -> None:
    by_name = {limit.where: limit.seconds or float("inf") for limit in time_limits(Settings())}
    way = ["edge, HTTP", "routing, all attempts", "routing, one attempt", "features", "prediction cache"]
    seconds = [by_name[name] for name in way]
    assert seconds == sorted(seconds, reverse=True)


def test_the_edges_limit_is_that_of_the_manifests() -> None:
    edge, mesh = edge_rule(EDGE_ROUTE, "/v2/x"), mesh_rule("/v2/x")
    assert edge is not None
    assert mesh is not None
    assert edge["timeouts"]["request"] == mesh["timeout"] == f"{EDGE_LIMIT_S:g}s"


def test_the_page_shows_the_limits_of_the_default_settings() -> None:
    page = (Path(app.gateway.__path__[0]) / "README.md").read_text()
    assert table(Settings()) in page
