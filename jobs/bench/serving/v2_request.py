"""The requests that every server under test answers: V2 JSON, one row of four numbers, as bytes on a connection."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jobs.bench.serving.model.dot import WEIGHTS

DISTINCT = 512
"""Different rows and sticky keys, asked for in turn."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go.

    Attributes:
        key: sent as ``Authorization: Bearer KEY`` to every server, whether it looks at it or not.
    """

    host: str
    port: int
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request's bytes, headers included, and the number that the model gives for it."""

    raw: bytes
    expected: float


def body(index: int) -> tuple[bytes, float]:
    """The JSON of request ``index`` and the answer. Multiples of a quarter: every order of summing is exact."""
    row = [((index * step) % 97) / 4 for step in (1, 3, 5, 7)]
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    return json.dumps({"inputs": [tensor]}).encode(), sum(w * x for w, x in zip(WEIGHTS, row, strict=True))


def encode(target: Target) -> list[Request]:
    """All requests, each with a sticky key of its own."""
    found = []
    for index in range(DISTINCT):
        content, expected = body(index)
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
            f"Authorization: Bearer {target.key}\r\nx-sticky-key: key-{index}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        found.append(Request(head.encode() + content, expected))
    return found
