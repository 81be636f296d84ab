"""``POST /feedback``: what came true of predictions, one label or a list of them, on its way into the event log.

A label is for one prediction of one row: for that with the request id, or for the nearest one of an entity (the
sticky key) to an instant. It is taken for every model that is served, and joined with its prediction where a release
is judged by it (``app.monitoring.labels``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.routing import Route

from app.errors import InvalidArgumentError, OverloadedError, TooLargeError
from app.events import EventIds, EventLog, Label, Publisher, hash_sticky_key
from app.gateway.access.admission import Admission
from app.gateway.http.endpoint import Answer, Endpoint, Exchange, failed
from app.gateway.inference.dataplane import DataPlane
from app.gateway.trace_context import MAX_REQUEST_ID
from app.monitoring.metrics import Counts
from app.periodic import Periodic
from app.settings import Settings

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""
MAX_TIME_S = 9_999_999_999
"""The latest instant that is accepted, seconds since the epoch (in the year 2286); milliseconds are far behind it."""

_WithOffset = Annotated[datetime, msgspec.Meta(tz=True)]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    label: float
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    entity: str | int | msgspec.UnsetType = msgspec.UNSET
    at: str | float | msgspec.UnsetType = msgspec.UNSET
    event_time: str | float | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Body | list[_Body])


def decode(body: bytes, most: int, key_id: str, event_id: Callable[[], str], now_us: int) -> list[Label]:
    """The labels of a body.

    Args:
        most: labels accepted.
        key_id: whose they are.
        now_us: when a label became known that does not say, microseconds since the epoch.

    Raises:
        InvalidArgumentError: not JSON, or a field that is not as it should be; none of the labels counts then.
        TooLargeError: more labels.
    """
    try:
        held = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgumentError(f"neither a label nor a list of labels: {error}") from error
    if isinstance(held, _Body):
        return [_label(held, "", key_id, event_id(), now_us)]
    if len(held) > most:
        raise TooLargeError(f"a request may have {most} labels; this one has {len(held)}")
    if not held:
        raise InvalidArgumentError("the list has no labels; send at least one")
    return [_label(one, f"[{index}].", key_id, event_id(), now_us) for index, one in enumerate(held)]


def _label(body: _Body, where: str, key_id: str, event_id: str, now_us: int) -> Label:
    """One label; ``where`` goes before the names of its fields in what is said of them."""
    if not 0 <= body.label <= 1:
        raise InvalidArgumentError(f"{where}label {body.label:g}: accepted is a number from 0 to 1")
    at = now_us if body.event_time is msgspec.UNSET else _instant(f"{where}event_time", body.event_time)
    request_id, entity, predicted_at = body.request_id, body.entity, body.at
    if request_id is not msgspec.UNSET and entity is msgspec.UNSET and predicted_at is msgspec.UNSET:
        if not (0 < len(request_id) <= MAX_REQUEST_ID and request_id.isascii() and request_id.isprintable()):
            raise InvalidArgumentError(
                f"{where}request_id {request_id[:MAX_REQUEST_ID]!r}: accepted is what x-request-id takes, printable "
                f"ASCII of 1 to {MAX_REQUEST_ID} characters"
            )
        return Label(
            event_id=event_id, at=at, model=body.model, label=body.label, key_id=key_id, request_id=request_id
        )
    if request_id is msgspec.UNSET and entity is not msgspec.UNSET and predicted_at is not msgspec.UNSET:
        return Label(
            event_id=event_id,
            at=at,
            model=body.model,
            label=body.label,
            key_id=key_id,
            sticky=hash_sticky_key(str(entity)),
            predicted_at=_instant(f"{where}at", predicted_at),
        )
    given = [name for name in ("request_id", "entity", "at") if getattr(body, name) is not msgspec.UNSET]
    raise InvalidArgumentError(
        f"{where.rstrip('.') or 'the label'} has {' and '.join(given) or 'none of request_id, entity and at'}; "
        "accepted is either request_id, or entity (the sticky key) with at (when it was predicted)"
    )


def _instant(name: str, value: str | float) -> int:
    """Microseconds since the epoch."""
    try:
        seconds = msgspec.convert(value, _WithOffset).timestamp() if isinstance(value, str) else float(value)
    except (msgspec.ValidationError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= MAX_TIME_S:
        raise InvalidArgumentError(
            f"{name} {value!r}: accepted are seconds since the epoch up to {MAX_TIME_S}, or an instant by RFC 3339 "
            "with its offset, as 2025-10-09T08:53:20Z"
        )
    return round(seconds * 1e6)


class Feedback:
    """One gateway replica's way to the log of labels.

    Args:
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(self, event_log: EventLog[Label], settings: Settings, now_us: Callable[[], int]) -> None:
        self._publisher: Publisher[Label] = Publisher(event_log, settings.events)
        self._max_batch = min(settings.labels.max_batch, settings.events.buffer)
        self._now_us = now_us
        self._event_id = EventIds()
        self._counts = Counts("tidegate_labels", "What the publisher of labels counts", "outcome")
        self._counting = Periodic("publishing the counters of labels", self._count, PUBLISH_S)

    def start(self) -> None:
        """Begin to publish, on the running loop."""
        self._publisher.start()
        self._counting.start()

    async def stop(self, timeout_s: float) -> None:
        """Send what is held, for as long as ``timeout_s``; the rest is dropped and counted."""
        await self._counting.stop()
        await self._publisher.stop(timeout_s)
        await self._count()

    def take(self, body: bytes, key_id: str, plane: DataPlane) -> int:
        """Take the labels of a body, all or none. Returns how many they are.

        Raises:
            InvalidArgumentError, TooLargeError: what is wrong with them.
            ModelNotFoundError: a model that is not served here; UnavailableError: not known yet what is.
            OverloadedError: so many do not fit beside those that still wait for Redis.
        """
        labels = decode(body, self._max_batch, key_id, self._event_id, self._now_us())
        for model in {label.model for label in labels}:
            plane.table(model)  # refuses models that are not there: Redis must not fill with streams of any name
        if self._publisher.room() < len(labels):
            raise OverloadedError(
                f"no room for {len(labels)} labels: the event log does not keep up; send them again"
            )
        for label in labels:
            self._publisher.offer(label)
        return len(labels)

    async def _count(self) -> None:
        stats = asdict(self._publisher.stats())
        self._counts.publish({name: count for name, count in stats.items() if name != "waiting"})


def hot_routes(feedback: Feedback, plane: DataPlane, admission: Admission, max_body_bytes: int) -> list[Route]:
    """The route."""

    async def take(exchange: Exchange) -> Answer:
        caller = await admission.enter(exchange.header(b"authorization"))
        taken = feedback.take(await exchange.body(max_body_bytes), caller.key_id, plane)
        return Answer(msgspec.json.encode({"accepted": taken}), 202)

    return [Route("/feedback", Endpoint(take, failed), methods=["POST"])]
