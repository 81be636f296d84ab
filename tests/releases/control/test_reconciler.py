from __future__ import annotations

from app.releases.control.cluster_state import UNLIMITED_REPLICAS, Applications, Snapshot
from app.releases.control.reconciler import half_moved, missing
from app.routing.route_table import Route, RouteTable

TABLES = {
    "flights": RouteTable(
        "flights",
        7,
        "salt",
        routes=(
            Route("1", "flights-v1-aaaaaa", 0.5),
            Route("2", "flights-v2-bbbbbb", 0.5),
            Route("3", "flights-v3-cccccc", 0.0),
        ),
    ),
    "light": RouteTable("light", 7, "salt", routes=(Route("1", "light-v1-dddddd", 1.0, "inline"),)),
}


def snapshot(**status: str) -> Snapshot:
    apps = {f"flights-v{name}": said for name, said in status.items()}
    return Snapshot(TABLES, Applications(apps, dict.fromkeys(apps, 2)))


def test_a_version_with_weight_and_no_application_is_deployed_again() -> None:
    assert missing(snapshot(), ()) == [("flights", "1"), ("flights", "2")]
    assert missing(Snapshot(TABLES, Applications({"flights-v1-aaaaaa": "UNHEALTHY"}, {})), ()) == [("flights", "2")]
    assert missing(snapshot(), ("flights",)) == []


def test_an_inline_version_answers_wherever_the_gateway_does() -> None:
    seen = Snapshot(TABLES, Applications({"flights-v1-aaaaaa": "RUNNING"}, {"flights-v1-aaaaaa": 2}))
    assert seen.running("light") == {"1": UNLIMITED_REPLICAS}
    assert seen.running("flights") == {"1": 2, "2": 0, "3": 0}
    assert seen.running("absent") == {}


def test_a_move_into_the_gateway_that_was_cut_off_is_finished() -> None:
    seen = Snapshot(TABLES, Applications({"light-v1-dddddd": "RUNNING", "flights-v1-aaaaaa": "RUNNING"}, {}))
    assert half_moved(seen, ()) == [("light", "1")]
    assert half_moved(seen, ("light",)) == []
    assert half_moved(Snapshot(TABLES, Applications({}, {})), ()) == []


def test_an_inline_champion_needs_one_replica_to_be_compared_with() -> None:
    seen = Snapshot(TABLES, Applications({}, {"flights-v1-aaaaaa": 3}))
    assert (seen.needed("light"), seen.needed("flights"), seen.needed("absent")) == (1, 3, 1)
    assert (set(seen.inline("light")), set(seen.inline("flights"))) == ({"1"}, set())


def test_applications_belong_to_their_version_named_or_not() -> None:
    seen = Snapshot(TABLES, Applications({"flights-v12-aaaaaa": "RUNNING", "gateway": "RUNNING"}, {}))
    assert seen.apps("flights") == {"12"}
