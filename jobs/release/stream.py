"""A release as it changes, whatever happens to the connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx

from jobs.release.client import RETRY_S, Body, ReleaseError, Releases, sentence

RECONNECT_S = 120.0
"""Time without a word after which following is given up, seconds: longer than a controller takes to come back."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    id: str
    data: str


def parsed(lines: Iterable[str]) -> Iterator[Event | None]:
    """Events (WHATWG HTML, 9.2.6) of one stream; None for a comment, which says that the other side is there."""
    id_ = ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(id_, "\n".join(data))
            data = []
        elif line.startswith(":"):
            yield None
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "id":
                id_ = value


def followed(
    releases: Releases,
    release: str,
    lost: Callable[[str], None],
    reconnect_s: float = RECONNECT_S,
    retry_s: float = RETRY_S,
) -> Iterator[Body]:
    """Each state of a release until its end; the present one first.

    Args:
        lost: told why whenever the connection was lost and is made again.
        reconnect_s: time without a word after which following is given up, seconds.
        retry_s: pause between two attempts, seconds.

    Raises:
        ReleaseError: it is refused, there is no such release, or nobody answers for too long.
    """
    last: str | None = None
    ended = False
    heard_at = time.monotonic()
    while not ended:
        why = "the stream has ended"
        try:
            with releases.events(release, last) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if response.status_code != httpx.codes.OK:
                    response.read()
                    why = _temporary(response, release)
                else:
                    for event in parsed(response.iter_lines()):
                        heard_at = time.monotonic()
                        if event is not None:
                            last = event.id
                            state: Body = json.loads(event.data)
                            ended = bool(state["ended"])
                            yield state
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        if ended:
            return
        if time.monotonic() - heard_at > reconnect_s:
            raise ReleaseError(f"release {release}: not a word for {reconnect_s:g} s ({why}); it goes on by itself")
        lost(why)
        time.sleep(retry_s)


def _temporary(response: httpx.Response, release: str) -> str:
    """What a refused stream says, if asking again may help.

    Raises:
        ReleaseError: it does not.
    """
    said = f"{response.status_code} {sentence(response)}"
    # While routes are being made HAProxy or the gateway answers 404 for the whole application.
    no_route = response.status_code == httpx.codes.NOT_FOUND and not said.startswith("404 there is no release")
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or no_route:
        return said
    raise ReleaseError(f"release {release} cannot be followed: {said}")
