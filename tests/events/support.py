"""Records to publish."""

from __future__ import annotations

from typing import Any

from app.events import EventIds, Label, Output, Prediction

_ids = EventIds()


def prediction(number: int = 0, model: str = "flights", **fields: Any) -> Prediction:
    """A record that says ``number`` in its request id."""
    known: dict[str, Any] = {
        "event_id": _ids(),
        "at": 1_760_000_000_000_000 + number,
        "model": model,
        "version": "7",
        "request_id": f"r-{number}",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "key_id": "0123456789ab",
        "sticky": "00f067aa0ba902b7",
        "placement": "dedicated",
        "weight": 0.9,
        "rows": 1,
        "status": 200,
        "total_us": 3210,
        "version_us": 1234,
        "outputs": {"late": Output((1,), [0.25])},
    }
    return Prediction(**(known | fields))


def label(number: int = 0, model: str = "flights", **fields: Any) -> Label:
    """A label of the prediction ``number``."""
    known: dict[str, Any] = {
        "event_id": _ids(),
        "at": 1_760_000_100_000_000 + number,
        "model": model,
        "label": 1.0,
        "key_id": "0123456789ab",
        "request_id": f"r-{number}",
    }
    return Label(**(known | fields))
