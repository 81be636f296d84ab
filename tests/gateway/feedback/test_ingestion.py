"""``POST /feedback``: what is understood, what is refused and how, and what is published."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from app.errors import InvalidArgumentError, OverloadedError, TooLargeError
from app.events import EventLogError, Label, LogEntry, hash_sticky_key
from app.gateway.feedback.ingestion import Feedback, decode
from app.gateway.inference.dataplane import DataPlane
from app.settings import EventSettings, LabelSettings, Settings
from tests.gateway.echo import echo_api
from tests.support.eventually import eventually

NOW_US = 1_760_000_000_000_000
BY_REQUEST = {"model": "table", "label": 1, "request_id": "r-1"}
BY_ENTITY = {"model": "table", "label": 0.25, "entity": "N14228", "at": 1_760_000_000}


def decoded(body: Any) -> list[Label]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(raw, 3, "k1", iter(f"e-{number}" for number in range(9)).__next__, NOW_US)


def test_one_label_and_a_list_of_them() -> None:
    first = Label(event_id="e-0", at=NOW_US, model="table", label=1.0, key_id="k1", request_id="r-1")
    assert decoded(BY_REQUEST) == [first]
    sticky = hash_sticky_key("N14228")
    second = Label(
        event_id="e-1", at=NOW_US, model="table", label=0.25, key_id="k1", sticky=sticky, predicted_at=NOW_US
    )
    assert decoded([BY_REQUEST, BY_ENTITY]) == [first, second]


@pytest.mark.parametrize(
    ("value", "us"),
    [
        (1_760_000_000, NOW_US),
        (1_760_000_000.25, NOW_US + 250_000),
        ("2025-10-09T08:53:20Z", NOW_US),
        ("2025-10-09T10:53:20.000001+02:00", NOW_US + 1),
        (0, 0),
    ],
)
def test_instants_are_seconds_or_rfc_3339_with_an_offset(value: Any, us: int) -> None:
    [label] = decoded({**BY_ENTITY, "at": value, "event_time": value})
    assert (label.predicted_at, label.at) == (us, us)


def test_a_whole_number_is_an_entity_as_the_gateway_writes_it() -> None:
    assert decoded({**BY_ENTITY, "entity": 42})[0].sticky == hash_sticky_key("42")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "neither a label nor a list of labels"),
        (b"[" * 5000, "neither a label nor a list of labels"),
        ([], "the list has no labels"),
        ({"model": "table", "request_id": "r"}, "missing required field `label`"),
        ({**BY_REQUEST, "version": "1"}, "unknown field `version`"),
        ({**BY_REQUEST, "label": "1"}, r"Expected `float`, got `str` - at `\$.label`"),
        ({**BY_REQUEST, "event_time": None}, r"got `null` - at `\$.event_time`"),
        ([BY_REQUEST, {**BY_REQUEST, "label": 2}], r"\[1\].label 2: accepted is a number from 0 to 1"),
        ({**BY_REQUEST, "label": -0.5}, "^label -0.5: accepted"),
        ({**BY_REQUEST, "request_id": ""}, "request_id '': accepted is what x-request-id takes"),
        ({**BY_REQUEST, "request_id": "é"}, "request_id 'é': accepted"),
        ({**BY_REQUEST, "request_id": "x" * 129}, "of 1 to 128 characters"),
        ({"model": "table", "label": 1}, "the label has none of request_id, entity and at; accepted is either"),
        ([{**BY_REQUEST, **BY_ENTITY}], r"\[0\] has request_id and entity and at; accepted is either"),
        ({"model": "table", "label": 1, "entity": "a"}, "the label has entity; accepted"),
        ({**BY_REQUEST, "at": 1}, "the label has request_id and at; accepted"),
        ({**BY_ENTITY, "at": 1_760_000_000_000}, "at 1760000000000.0: accepted are seconds since the epoch up to 9"),
        ({**BY_ENTITY, "at": "2025-10-09T08:53:20"}, "at '2025-10-09T08:53:20': accepted are .* with its offset"),
        ({**BY_ENTITY, "at": "yesterday"}, "at 'yesterday': accepted"),
        ({**BY_ENTITY, "event_time": -1}, "event_time -1.0: accepted"),
        ({**BY_ENTITY, "event_time": "0001-01-01T00:00:00+23:59"}, "event_time '0001-01-01T00:00:00.*: accepted"),
    ],
)
def test_labels_that_are_wrong_are_refused_with_a_sentence(body: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        decoded(body)


def test_refuses_more_labels_than_a_request_may_have() -> None:
    with pytest.raises(TooLargeError, match="a request may have 3 labels; this one has 4"):
        decoded([BY_REQUEST] * 4)


class Log:
    """Takes what it is given, unless it is away."""

    def __init__(self) -> None:
        self.taken: list[Label] = []
        self.away = self.asked = False

    async def publish(self, records: Sequence[Label]) -> int:
        self.asked = True
        if self.away:
            raise EventLogError("away")
        self.taken += records
        return 0

    async def read(self, model: str, after: str, count: int, wait_s: float) -> list[LogEntry[Label]]:
        raise NotImplementedError


@pytest.fixture
async def log() -> Log:
    return Log()


@pytest.fixture
async def feedback(log: Log) -> AsyncIterator[Feedback]:
    settings = Settings(events=EventSettings(buffer=4, batch=2, flush_s=0.01), labels=LabelSettings(max_batch=9))
    found = Feedback(log, settings, lambda: NOW_US)
    found.start()
    yield found
    await found.stop(1)


PLANE = cast(DataPlane, SimpleNamespace(table=lambda model: None))


async def test_labels_are_published(feedback: Feedback, log: Log) -> None:
    assert feedback.take(json.dumps([BY_REQUEST, BY_ENTITY]).encode(), "k1", PLANE) == 2
    await eventually(lambda: len(log.taken) == 2)
    assert [(label.request_id, label.key_id) for label in log.taken] == [("r-1", "k1"), (None, "k1")]
    assert len({label.event_id for label in log.taken}) == 2


async def test_labels_without_room_are_refused_and_none_is_lost(feedback: Feedback, log: Log) -> None:
    log.away = True
    assert feedback.take(json.dumps([BY_REQUEST] * 2).encode(), "k1", PLANE) == 2
    await eventually(lambda: log.asked)  # these two are on their way
    assert feedback.take(json.dumps([BY_REQUEST] * 3).encode(), "k1", PLANE) == 3
    with pytest.raises(OverloadedError, match="no room for 2 labels"):
        feedback.take(json.dumps([BY_REQUEST] * 2).encode(), "k1", PLANE)
    assert feedback.take(json.dumps(BY_REQUEST).encode(), "k1", PLANE) == 1
    log.away = False
    await eventually(lambda: len(log.taken) == 6)
    with pytest.raises(TooLargeError, match="may have 4 labels"):  # more than there is ever room for
        feedback.take(json.dumps([BY_REQUEST] * 5).encode(), "k1", PLANE)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(echo_api(max_body_bytes=2000))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as found:
        yield found


async def test_the_route_accepts_labels_and_counts_them(client: httpx.AsyncClient) -> None:
    response = await client.post("/feedback", json=[BY_REQUEST, {**BY_ENTITY, "model": "tensors"}])
    assert (response.status_code, response.json()) == (202, {"accepted": 2})
    packed = gzip.compress(json.dumps(BY_REQUEST).encode())
    response = await client.post("/feedback", content=packed, headers={"content-encoding": "gzip"})
    assert (response.status_code, response.json()) == (202, {"accepted": 1})


async def test_the_route_answers_errors_as_json(client: httpx.AsyncClient) -> None:
    response = await client.post("/feedback", json=[BY_REQUEST, {**BY_REQUEST, "model": "nothing"}])
    assert response.status_code == 404
    assert response.json() == {"error": "model 'nothing' is not served here; served: table, tensors"}
    response = await client.post("/feedback", json={**BY_REQUEST, "label": 2})
    assert (response.status_code, response.json()) == (400, {"error": "label 2: accepted is a number from 0 to 1"})
    response = await client.post("/feedback", content=b" " * 2001)
    assert response.status_code == 413
    wrong = {"authorization": "Bearer nothing"}
    assert (await client.post("/feedback", json=BY_REQUEST, headers=wrong)).status_code == 401
    response = await client.get("/feedback")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
