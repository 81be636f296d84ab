"""The record of a label: its bytes."""

from __future__ import annotations

import msgspec
import pytest

from app.events.label import decode
from tests.events.support import label


def test_a_record_comes_back_as_it_was() -> None:
    for record in (label(), label(request_id=None, sticky="00f067aa0ba902b7", predicted_at=1_760_000_000_000_000)):
        assert decode(record.encode()) == record


def test_a_later_release_may_add_fields_and_an_older_one_reads_on() -> None:
    fields = msgspec.msgpack.decode(label().encode())
    assert (
        decode(msgspec.msgpack.encode([*fields, "new"]))
        == decode(msgspec.msgpack.encode(fields))
        == label(event_id=fields[0])
    )


@pytest.mark.parametrize("data", [b"", b"\xff", msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([1, 2])])
def test_other_bytes_are_no_record(data: bytes) -> None:
    assert decode(data) is None
