"""Stored releases of older and newer versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.releases.lifecycle.machine import decide
from app.releases.lifecycle.observation import Observation
from app.releases.model.document import decode, encode
from app.releases.model.plan import PlanError, parse
from app.releases.model.release import HistoryEntry, Note
from tests.releases.documents import ordered, release

OLDEST = {
    "id": "r1",
    "model": "flights",
    "challenger": "2",
    "champion": "1",
    "before": {"1": 1.0},
    "replicas": 2,
    "plan": {"strategy": "canary", "steps": [{"weight": 0.1, "gate": "person"}]},
    "created": 1.0,
    "since": 2.0,
}


def newer() -> dict[str, Any]:
    """A document that a later version wrote: more fields, at every depth."""
    held = release(
        history=(HistoryEntry(at=1.0, who="ci", what="begun"),),
        outbox=(Note(kind="tag", name="t", version="2", number=1),),
    )
    document: dict[str, Any] = json.loads(encode(held))
    document |= {"schema": 2, "budget": {"errors": 3}}
    document["plan"]["budget"] = 7
    document["plan"]["steps"][1]["ramp"] = "linear"
    document["plan"]["guards"][0]["per"] = "session"
    document["history"][0]["trace"] = "abc"
    document["outbox"][0]["retries"] = 2
    return document


def test_a_document_is_read_as_it_was_written() -> None:
    held = release(history=(HistoryEntry(at=1.0, who="ci", what="begun"),))
    assert decode(encode(held)) == held
    assert "schema" not in json.loads(encode(held))


def test_a_document_of_an_older_version_has_the_defaults_of_what_it_lacks() -> None:
    held = decode(json.dumps(OLDEST))
    assert (held.phase, held.waiting_because, held.history, held.plan.beta) == ("preparing", "", (), 0.05)


def test_fields_of_a_newer_version_are_written_back() -> None:
    assert json.loads(encode(decode(json.dumps(newer())))) == newer()


def test_fields_of_a_newer_version_outlive_orders_and_the_state_machine() -> None:
    held = ordered(decode(json.dumps(newer())), "pause", "key", 5.0)
    after = decide(held, Observation(now=6.0, weights={"1": 1.0})).release
    written = json.loads(encode(after))
    assert written["paused"]
    assert (written["schema"], written["budget"], written["plan"]["budget"]) == (2, {"errors": 3}, 7)
    assert written["plan"]["steps"][1]["ramp"] == "linear"
    assert written["plan"]["guards"][0]["per"] == "session"
    assert written["history"][0]["trace"] == "abc"
    assert written["outbox"][0]["retries"] == 2


def test_a_document_without_its_own_fields_is_refused() -> None:
    with pytest.raises(ValidationError, match="challenger"):
        decode(json.dumps({name: value for name, value in OLDEST.items() if name != "challenger"}))


def test_a_plan_that_a_person_writes_may_hold_no_unknown_field() -> None:
    with pytest.raises(PlanError, match="budget"):
        parse({**OLDEST["plan"], "budget": 7})  # type: ignore[dict-item]
