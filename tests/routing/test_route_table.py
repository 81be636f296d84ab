"""Changes of the route table: what is refused, and that an older revision never wins."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.release_context import OutputRange, ReleaseContext
from app.routing.route_table import (
    RouteError,
    RouteTable,
    decode,
    new_table,
    newest,
    with_entity,
    with_version,
    with_weights,
    without_version,
)


def table(**weights: float) -> RouteTable:
    found = new_table("flights", 1000)
    for version in weights:
        found = with_version(found, version[1:], f"flights-{version}", 1000)
    return (
        with_weights(found, {version[1:]: weight for version, weight in weights.items()}, 1000) if weights else found
    )


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"1": 0.5, "2": 0.4}, "sum to 0.9"),
        ({}, "none given"),
        ({"1": 1.5, "2": -0.5}, "weight 1.5 of version 1"),
        ({"1": float("nan"), "2": 1.0}, "from 0 to 1"),
        ({"3": 1.0}, "version 3 of flights is not deployed; deployed: 1, 2"),
    ],
)
def test_weights_that_do_not_sum_to_1_are_refused(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(RouteError, match=sentence):
        with_weights(table(v1=1.0, v2=0.0), weights, 2000)


def test_a_version_that_is_not_named_gets_weight_0() -> None:
    assert with_weights(table(v1=0.5, v2=0.5), {"2": 1.0}, 2000).weights == {"1": 0.0, "2": 1.0}


def test_a_model_is_taken_out_of_service_by_zeros_only() -> None:
    assert with_weights(table(v1=1.0, v2=0.0), {"1": 0}, 2000).weights == {"1": 0.0, "2": 0.0}


def test_a_version_with_weight_cannot_be_removed() -> None:
    with pytest.raises(RouteError, match=r"version 2 of flights has weight 0\.1 and cannot be removed"):
        without_version(table(v1=0.9, v2=0.1), "2", 2000)
    assert without_version(table(v1=1.0, v2=0.0), "2", 2000).weights == {"1": 1.0}


def test_a_version_is_deployed_once() -> None:
    with pytest.raises(RouteError, match="deployed already, as flights-v1"):
        with_version(table(v1=1.0), "1", "flights-v1-again", 2000)


def test_a_lost_application_is_replaced_and_the_weight_stays() -> None:
    held = table(v1=0.9, v2=0.1)
    assert with_version(held, "2", "flights-v2-new", 2000, instead_of="flights-v2").weights == held.weights
    assert with_version(held, "2", "flights-v2-new", 2000, instead_of="flights-v2").apps["2"] == "flights-v2-new"
    with pytest.raises(RouteError, match="deployed already, as flights-v2"):
        with_version(held, "2", "flights-v2-new", 2000, instead_of="flights-v2-older")


def test_every_change_has_a_higher_revision_also_when_the_clock_goes_back() -> None:
    first = table(v1=1.0, v2=0.0)
    later = with_weights(first, {"1": 0.9, "2": 0.1}, now_ms=0)
    assert later.revision == first.revision + 1
    assert with_weights(later, {"2": 1.0}, now_ms=5_000).revision == 5_000


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_the_highest_revision_wins_in_any_order(revisions: list[int]) -> None:
    held: RouteTable | None = None
    for revision in revisions:
        held = newest(held, RouteTable("flights", revision, f"salt-{revision}"))
    assert held is not None
    assert held.revision == max(revisions)


def test_an_equal_revision_does_not_replace_the_held_table() -> None:
    held = table(v1=1.0)
    assert newest(held, RouteTable("flights", held.revision, "other")) is held


def test_the_document_comes_back_as_it_was() -> None:
    held = table(v1=0.25, v2=0.75)
    assert decode(held.encode()) == held


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[1]",
        b"7",
        b'{"model": "m"}',
        b'{"model": 3, "revision": 1, "salt": "x"}',
        b'{"model": "m", "revision": 1, "salt": "s", "routes": [7]}',
    ],
)
def test_a_document_that_is_no_table_is_refused(document: bytes) -> None:
    with pytest.raises(RouteError, match="not a route table"):
        decode(document)


def test_a_table_of_an_earlier_version_is_read_and_written_back_under_its_names() -> None:
    stored = (
        b'{"model":"m","revision":7,"salt":"s","entity":null,'
        b'"routes":[{"version":"1","app":"m-1","weight":1.0,"placement":"dedicated"}],'
        b'"trial":{"release":"r1","champion":"1","challenger":"2","mirror":0.0,"pinned":[],"slow_over_s":null,'
        b'"drift":{"output":"y","low":0.0,"high":1.0},"agreement":null,"quality":null},"fence":0}'
    )
    read = decode(stored)
    assert read.release_context == ReleaseContext("r1", "1", "2", drift=OutputRange("y", 0.0, 1.0))
    assert read.encode() == stored


def test_fields_of_a_newer_version_are_kept_through_a_change() -> None:
    stored = (
        b'{"schema":2,"model":"m","revision":7,"salt":"s","routes":[{"version":"1","app":"m-1","weight":1.0,"zone":"a"}],'
        b'"trial":{"release":"r1","champion":"1","challenger":"2","budget":0.5,"guards":["{}"]},"fence":0,"quota":{"a":1}}'
    )
    read = decode(stored)
    assert (read.weights, read.release_context and read.release_context.challenger) == ({"1": 1.0}, "2")
    changed = json.loads(with_entity(read, "carrier", 8).encode())
    assert (changed["revision"], changed["entity"]) == (8, "carrier")
    assert (changed["schema"], changed["quota"]) == (2, {"a": 1})
    assert changed["routes"][0]["zone"] == "a"
    assert changed["trial"]["budget"] == 0.5
    assert decode(json.dumps(changed)) == with_entity(read, "carrier", 8)


def test_a_table_without_the_fields_of_later_versions_is_read() -> None:
    read = decode(b'{"model":"m","revision":7,"salt":"s"}')
    assert (read.routes, read.release_context, read.fence) == ((), None, 0)
