"""Labels of predictions, one or a list of them, on their way into the event log.

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

from app.errors import InvalidArgumentError, OverloadedError, TooLargeError
from app.events import EventIds, EventWriter, Label, Publisher, hash_sticky_key
from app.gateway.inference.dataplane import DataPlane
from app.gateway.protocols.body_fields import schema
from app.gateway.trace_context import MAX_REQUEST_ID
from app.monitoring.metrics import Counts
from app.periodic import Periodic
from app.settings import Settings

PUBLISH_S = 2.0
"""Interval at which counters are handed to Ray, seconds."""
MAX_TIME_S = 9_999_999_999
"""The latest instant that is accepted, seconds since the epoch (in the year 2286); milliseconds are far behind it."""

_WithOffset = Annotated[datetime, msgspec.Meta(tz=True)]


def _instant_schema(description: str) -> msgspec.Meta:
    return schema(
        description=f"{description}: seconds since the epoch, or by RFC 3339",
        oneOf=[{"type": "number", "minimum": 0, "maximum": MAX_TIME_S}, {"type": "string", "format": "date-time"}],
    )


class LabelBody(msgspec.Struct, forbid_unknown_fields=True):
    """A label: of the prediction with a request id, or of an entity's prediction nearest to an instant."""

    model: Annotated[str, schema(description="A model that is served")]
    label: Annotated[float, schema(minimum=0, maximum=1, description="What came true")]
    request_id: Annotated[
        str | msgspec.UnsetType,
        schema(
            pattern=f"^[ -~]{{1,{MAX_REQUEST_ID}}}$",
            description="The prediction's, as its reply had it in x-request-id",
        ),
    ] = msgspec.UNSET
    entity: Annotated[str | int | msgspec.UnsetType, schema(description="The prediction's sticky key")] = (
        msgspec.UNSET
    )
    at: Annotated[str | float | msgspec.UnsetType, _instant_schema("About when it was predicted")] = msgspec.UNSET
    event_time: Annotated[
        str | float | msgspec.UnsetType, _instant_schema("When the label became known; now, if it is left out")
    ] = msgspec.UNSET


_decoder = msgspec.json.Decoder(LabelBody | list[LabelBody])


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
    if isinstance(held, LabelBody):
        return [_label(held, "", key_id, event_id(), now_us)]
    if len(held) > most:
        raise TooLargeError(f"a request may have {most} labels; this one has {len(held)}")
    if not held:
        raise InvalidArgumentError("the list has no labels; send at least one")
    return [_label(one, f"[{index}].", key_id, event_id(), now_us) for index, one in enumerate(held)]


def _label(body: LabelBody, where: str, key_id: str, event_id: str, now_us: int) -> Label:
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
    """Publishes labels to their event log, for one gateway replica.

    Args:
        now_us: the wall clock, microseconds since the epoch.
    """

    def __init__(self, event_log: EventWriter[Label], settings: Settings, now_us: Callable[[], int]) -> None:
        self._publisher: Publisher[Label] = Publisher(event_log, settings.events)
        self._max_batch = min(settings.labels.max_batch, settings.events.buffer)
        self._now_us = now_us
        self._event_id = EventIds()
        self._counts = Counts("tidegate_labels", "What the publisher of labels counts", "outcome")
        self._counting = Periodic("publishing the counters of labels", self._count, PUBLISH_S)

    def start(self) -> None:
        """Begins to publish, on the running loop."""
        self._publisher.start()
        self._counting.start()

    async def stop(self, timeout_s: float) -> None:
        """Sends what is held, for as long as ``timeout_s``; the rest is dropped and counted."""
        await self._counting.stop()
        await self._publisher.stop(timeout_s)
        await self._count()

    def take(self, body: bytes, key_id: str, plane: DataPlane) -> int:
        """Takes the labels of a body, all or none. Returns how many they are.

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
