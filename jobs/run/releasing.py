"""Releases of the demo, begun and followed over the gateway's HTTP as any caller would."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.releases.lifecycle.orders import Cancel
from jobs.release.client import Body, ReleaseError, Releases
from jobs.release.plans import read
from jobs.release.sentences import waiting_text
from jobs.release.states import release_states
from jobs.run.command import StepError

PLANS = Path(__file__).parent / "plans"
CANCELLED_WITHIN_S = 120.0
"""Deadline of an earlier release's way back, seconds."""


def plan(name: str, share_seconds: float | None = None) -> Body:
    """Returns a plan of the demo.

    Args:
        share_seconds: least time of the steps whose gate is ``time`` and that give weight; None: as it is written.
    """
    document: Body = read(str(PLANS / f"{name}.yaml"))
    for step in document["steps"]:
        if share_seconds is not None and step["gate"] == "time" and step["weight"]:
            step["min_duration"] = share_seconds
    return document


async def states(releases: Releases, release: str, lost: Callable[[str], None]) -> AsyncGenerator[Body, None]:
    """Yield each state of a release until its end, as :func:`release_states` does in a thread of its own.

    Raises:
        ReleaseError: it cannot be followed any more.
    """
    loop, box = asyncio.get_running_loop(), asyncio.Queue[Body | Exception | None]()
    over = threading.Event()

    def tell(why: str) -> None:
        loop.call_soon_threadsafe(lost, why)

    def read_states() -> None:
        end: Exception | None = None
        try:
            for state in release_states(releases, release, tell):
                if over.is_set():
                    return
                loop.call_soon_threadsafe(box.put_nowait, state)
        except Exception as error:
            end = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(box.put_nowait, end)

    # Not of the loop's executor, whose threads a program that is interrupted waits for.
    threading.Thread(target=read_states, name=f"states of {release}", daemon=True).start()
    try:
        while (found := await box.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        over.set()


async def end_earlier(releases: Releases, model: str, say: Callable[[str], None]) -> str | None:
    """Cancel the release that an earlier run left under way, await its end, and return its id; None without one.

    Raises:
        ReleaseError: the gateway does not answer.
        StepError: it does not end.
    """
    newest = await asyncio.to_thread(releases.newest, model, 1)
    if not newest or newest[0]["ended"]:
        return None
    release = str(newest[0]["id"])
    try:
        await asyncio.to_thread(releases.order, release, Cancel())
        say(f"release {release} of an earlier run is cancelled")
    except ReleaseError as error:  # it is through, and only has to remove the old champion
        say(f"release {release} of an earlier run is awaited: {error}")
    await follow(releases, release, CANCELLED_WITHIN_S, say, lambda state: None)
    return release


async def follow(
    releases: Releases,
    release: str,
    timeout_s: float,
    say: Callable[[str], None],
    see: Callable[[Body], Any],
) -> None:
    """Follow a release to its end; ``see`` takes each state and is awaited where it returns an awaitable.

    Raises:
        ReleaseError: it cannot be followed any more.
        StepError: it has not ended within ``timeout_s`` seconds.
    """
    state: Body = {}
    try:
        async with asyncio.timeout(timeout_s):
            async for state in states(releases, release, say):
                if (work := see(state)) is not None:
                    await work
    except TimeoutError as error:
        waits = waiting_text(state) or "waits for nothing"
        raise StepError(
            f"release {release} has not ended after {timeout_s:g} s, it {waits}: "
            f"tidegate release show {release} --follow"
        ) from error
