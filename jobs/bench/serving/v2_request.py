"""The requests that every server under test answers: V2 JSON, one row of four numbers, as bytes on a connection."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jobs.bench.serving.model.dot import WEIGHTS

DISTINCT = 512
"""Different rows and sticky keys, asked for in turn."""


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint that requests are sent to.

    Attributes:
        key: sent as ``Authorization: Bearer KEY`` to every server, whether it looks at it or not.
        looked_up: the requests name a user, whose four numbers the server looks up.
    """

    host: str
    port: int
    path: str
    key: str
    looked_up: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request's bytes, headers included, and the number that the model gives for it."""

    raw: bytes
    expected: float


def numbers(index: int) -> list[float]:
    """The four numbers of request ``index``. Multiples of a quarter: every order of summing is exact."""
    return [((index * step) % 97) / 4 for step in (1, 3, 5, 7)]


def user(index: int) -> str:
    """Name of the user whose numbers are looked up."""
    return f"user-{index}"


def body(index: int, looked_up: bool = False) -> tuple[bytes, float]:
    """The JSON of request ``index`` and the answer."""
    row = numbers(index)
    tensor: dict[str, object] = {"name": "x", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    if looked_up:
        tensor = {"name": "user", "shape": [1], "datatype": "BYTES", "data": [user(index)]}
    return json.dumps({"inputs": [tensor]}).encode(), sum(w * x for w, x in zip(WEIGHTS, row, strict=True))


def encode(target: Target) -> list[Request]:
    """All requests, each with a sticky key of its own."""
    found = []
    for index in range(DISTINCT):
        content, expected = body(index, target.looked_up)
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
            f"Authorization: Bearer {target.key}\r\nx-sticky-key: key-{index}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        found.append(Request(head.encode() + content, expected))
    return found
