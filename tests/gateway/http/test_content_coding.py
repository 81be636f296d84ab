"""Compressed requests and replies: what is read, what is refused, who gets a compressed reply."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidArgumentError, TooLargeError, UnsupportedMediaError
from app.gateway.http.content_coding import coding_of, compress, decompress, requested_coding

BODY = b'{"inputs": []}'


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(BODY, mtime=0)), ("deflate", zlib.compress(BODY)), ("gzip", compress("gzip", BODY))],
)
def test_reads_one_stream_up_to_the_limit(coding: str, body: bytes) -> None:
    assert decompress(coding, body, len(BODY)) == BODY
    with pytest.raises(TooLargeError, match=f"may have {len(BODY) - 1} bytes; this one has more when decompressed"):
        decompress(coding, body, len(BODY) - 1)


@pytest.mark.parametrize(
    ("coding", "body", "error", "sentence"),
    [
        ("gzip", BODY, InvalidArgumentError, "the body is not gzip as its Content-Encoding says"),
        ("gzip", zlib.compress(BODY), InvalidArgumentError, "the body is not gzip"),
        ("deflate", gzip.compress(BODY, mtime=0), InvalidArgumentError, "the body is not deflate"),
        ("deflate", zlib.compress(BODY, wbits=-15), InvalidArgumentError, "the body is not deflate"),
        ("gzip", b"", InvalidArgumentError, "the body ends before its gzip stream does"),
        (
            "gzip",
            gzip.compress(BODY, mtime=0)[:-1],
            InvalidArgumentError,
            "the body ends before its gzip stream does",
        ),
        (
            "gzip",
            gzip.compress(BODY, mtime=0) + b"12",
            InvalidArgumentError,
            "has 2 bytes behind its gzip stream; send one stream",
        ),
        ("gzip", gzip.compress(BODY, mtime=0) * 2, InvalidArgumentError, "behind its gzip stream; send one stream"),
        ("gzip", gzip.compress(b"\0" * 10_000_000, mtime=0), TooLargeError, "a body may have 100 bytes"),
        ("deflate", zlib.compress(b"\0" * 10_000_000), TooLargeError, "a body may have 100 bytes"),
    ],
)
def test_bodies_that_are_no_whole_stream_are_refused_with_a_sentence(
    coding: str, body: bytes, error: type[InvalidArgumentError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        decompress(coding, body, 100)


@pytest.mark.parametrize(
    ("header", "coding"),
    [("", None), ("identity", None), ("gzip", "gzip"), ("GZIP ", "gzip"), ("deflate", "deflate")],
)
def test_codings_of_a_request(header: str, coding: str | None) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "zstd", "deflate, gzip"])
def test_other_codings_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaError, match=f"'{header}'; accepted are gzip, deflate or none") as caught:
        coding_of(header)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("Gzip", "gzip"),
        ("", None),
        ("identity", None),
        ("*", None),
        ("gzip;q=0", None),
        ("gzip, deflate, br", None),
    ],
)
def test_a_single_accepted_coding_is_used_and_a_list_is_not(header: str, coding: str | None) -> None:
    assert requested_coding(header) == coding


@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=300))
def test_what_is_written_can_be_read(coding: str, body: bytes) -> None:
    assert decompress(coding, compress(coding, body), 300) == body


@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(coding: str, junk: bytes) -> None:
    with contextlib.suppress(InvalidArgumentError):
        assert len(decompress(coding, junk, 100)) <= 100
