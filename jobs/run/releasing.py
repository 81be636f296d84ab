"""Releases as the main job begins and follows them, over the gateway's HTTP like anybody else."""

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
from jobs.release.states import release_states
from jobs.run.errors import StepError

PLANS = Path(__file__).parent / "plans"

WAITING = 64
"""States that may wait here; then the stream is read no further, and the gateway skips states for us."""
CANCELLED_WITHIN_S = 120.0
"""Deadline of an earlier release's way back, seconds."""


def plan(name: str, share_seconds: float | None = None) -> Body:
    """A plan of the main job.

    Args:
        share_seconds: least time of the steps whose gate is ``time`` and that give weight; None: as it is written.
    """
    document: Body = read(str(PLANS / f"{name}.yaml"))
    for step in document["steps"]:
        if share_seconds is not None and step["gate"] == "time" and step["weight"]:
            step["min_duration"] = share_seconds
    return document


async def states(releases: Releases, release: str, lost: Callable[[str], None]) -> AsyncGenerator[Body, None]:
    """Each state of a release until its end; the present one first.

    Args:
        lost: told why whenever the connection was lost and is made again.

    Raises:
        ReleaseError: it cannot be followed any more.
    """
    loop = asyncio.get_running_loop()
    box: asyncio.Queue[Body | Exception | None] = asyncio.Queue(WAITING)
    over = threading.Event()

    def put(found: Body | Exception | None) -> None:
        asyncio.run_coroutine_threadsafe(box.put(found), loop).result()

    def tell(why: str) -> None:
        loop.call_soon_threadsafe(lost, why)

    def follow() -> None:
        try:
            for state in release_states(releases, release, tell):
                if over.is_set():
                    return
                put(state)
            put(None)
        except Exception as error:
            if not over.is_set():
                with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                    put(error)

    # Not of the loop's executor, whose threads a program that is interrupted waits for.
    threading.Thread(target=follow, name=f"follow {release}", daemon=True).start()
    try:
        while (found := await box.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        over.set()
        while not box.empty():  # whoever waits to put goes on, and sees that it is over
            box.get_nowait()


async def end_earlier(releases: Releases, model: str, say: Callable[[str], None]) -> str | None:
    """Cancel the release that an earlier run left under way, and wait for its end; its id, None if there is none.

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
    state: dict[str, Any] = {}
    try:
        async with asyncio.timeout(CANCELLED_WITHIN_S):
            async for state in states(releases, release, say):  # noqa: B007  (the last one is told of)
                pass
    except TimeoutError as error:
        raise StepError(
            f"release {release} of an earlier run has not ended after {CANCELLED_WITHIN_S:g} s, it waits for "
            f"{state.get('waiting_for')}: tidegate release show {release} --follow"
        ) from error
    return release
