"""Request ids and W3C trace context: what is taken over, what is made anew."""

from __future__ import annotations

import re

import pytest

from app.gateway.trace_context import identify

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("sent", ["r-7", "a b", "x" * 128, "~!"])
def test_a_valid_request_id_is_kept(sent: str) -> None:
    assert identify(sent).request_id == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a\nb", "é", "a\x7f", "a\tb"])
def test_an_invalid_request_id_is_replaced(sent: str | None) -> None:
    first, second = identify(sent), identify(sent)
    assert re.fullmatch(r"[0-9a-f]{32}", first.request_id)
    assert first.request_id != second.request_id


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        (PARENT, "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-ff", "03"),  # flags that no version has defined are cleared
        (f"cc-{TRACE}-{SPAN}-01", "01"),  # a later version
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_a_valid_traceparent_is_continued_by_a_child_span(sent: str, flags: str) -> None:
    found = identify(None, sent)
    assert (found.trace_id, found.flags) == (TRACE, flags)
    assert found.traceparent == f"00-{TRACE}-{found.span_id}-{flags}"
    assert re.fullmatch(r"[0-9a-f]{16}", found.span_id)
    assert found.span_id != SPAN


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "nonsense",
        PARENT.upper(),
        f"{PARENT}-more",  # version 00 has four parts
        f"{PARENT} ",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_traceparent_begins_a_new_trace(sent: str | None) -> None:
    found = identify(None, sent, "vendor=1")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", found.traceparent)
    assert found.trace_id != TRACE
    assert found.tracestate is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", True),
        ("tenant@system=a b , , x=1", True),  # spaces inside a value, around members, and empty members
        (None, False),
        ("", False),
        (" , ", False),
        ("novalue", False),
        ("a=1,a=2", False),
        ("A=1", False),
        ("a=1=2", False),
        ("a=é", False),
        (",".join(f"k{number}=1" for number in range(33)), False),
        (f"a={'x' * 256},b={'x' * 256}", False),
    ],
)
def test_tracestate_is_passed_on_unchanged_or_not_at_all(sent: str | None, kept: bool) -> None:
    assert identify(None, PARENT, sent).tracestate == (sent if kept else None)
