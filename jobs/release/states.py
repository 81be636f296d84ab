"""The states of a release as it changes, through connections that are lost and made again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
from httpx_sse import EventSource

from jobs.release.client import RETRY_S, Body, ReleaseError, Releases, sentence

RECONNECT_S = 120.0
"""Time without a sign of life after which following is given up, seconds: longer than a controller is away."""


def release_states(
    releases: Releases,
    release: str,
    lost: Callable[[str], None],
    reconnect_s: float = RECONNECT_S,
    retry_s: float = RETRY_S,
) -> Iterator[Body]:
    """Yield each state of a release until its end; the present one first.

    Args:
        lost: called with the reason whenever the connection was lost and is made again.
        reconnect_s: time without a sign of life after which following is given up, seconds.
        retry_s: pause between two attempts, seconds.

    Raises:
        ReleaseError: it is refused, there is no such release, or there is no answer for too long.
    """
    last: str | None = None
    ended = False
    heard_at = time.monotonic()
    while not ended:
        why = "the stream has ended"
        is_open = False
        try:
            with releases.events(release, last) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if response.status_code != httpx.codes.OK:
                    response.read()
                    why = _temporary(response, release)
                else:
                    is_open = True
                    for event in EventSource(response).iter_sse():
                        last = event.id
                        if not event.data:
                            continue
                        state: Body = json.loads(event.data)
                        ended = bool(state["ended"])
                        yield state
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        if ended:
            return
        if is_open:  # its comments came until now, at least each ``QUIET_S``
            heard_at = time.monotonic()
        if time.monotonic() - heard_at > reconnect_s:
            raise ReleaseError(
                f"release {release}: no sign of life for {reconnect_s:g} s ({why}); it goes on by itself"
            )
        lost(why)
        time.sleep(retry_s)


def _temporary(response: httpx.Response, release: str) -> str:
    """Returns what a refused stream says, if asking again may help.

    Raises:
        ReleaseError: it does not.
    """
    refusal = f"{response.status_code} {sentence(response)}"
    # While routes are being made HAProxy or the gateway answers 404 for the whole application.
    no_route = response.status_code == httpx.codes.NOT_FOUND and not refusal.startswith("404 there is no release")
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or no_route:
        return refusal
    raise ReleaseError(f"release {release} cannot be followed: {refusal}")
