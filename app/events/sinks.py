"""The kinds of event sinks, and the one in the settings.

The scheme of TIDEGATE_EVENTS_URL (else of TIDEGATE_REDIS_URL) chooses the kind. A further kind is a module
that implements the protocols of ``event_log``, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from app.events.event_log import EventSink
from app.events.redis_streams import RedisSink
from app.settings import Settings, SettingsError

SINKS: dict[str, Callable[[Settings], EventSink]] = {
    "redis": RedisSink,
    "rediss": RedisSink,
    "unix": RedisSink,
}
"""What makes a sink, by the scheme of its address. Making one does not connect."""


def connect_sink(settings: Settings) -> EventSink:
    """The sink of these settings, over connections of its own.

    Raises:
        SettingsError: no sink has the address's scheme.
    """
    name = "TIDEGATE_REDIS_URL" if settings.events.url is None else "TIDEGATE_EVENTS_URL"
    scheme = (settings.events.url or settings.redis.url).partition("://")[0]
    make = SINKS.get(scheme)
    if make is None:
        accepted = ", ".join(f"{known}://" for known in SINKS)
        raise SettingsError(f"{name}: no event sink has the scheme {scheme!r}; accepted are {accepted}")
    return make(settings)
