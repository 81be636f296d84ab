"""``tidegate local …`` as a step of the demo: the command that a user would type."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from app.errors import TidegateError

ROOT = Path(__file__).parents[2]


class StepError(TidegateError):
    """A step of the demo failed; the message says what to look at."""


async def local(verb: str, say: Callable[[str], None]) -> None:
    """Run ``tidegate local VERB``, passing its lines on.

    Raises:
        StepError: it ended with another code than 0.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jobs.cli", "local", verb),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    last = ""
    assert process.stdout is not None
    try:
        async for raw in process.stdout:
            if line := raw.decode(errors="replace").rstrip():
                last = line
                say(line)
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if code:
        raise StepError(f"tidegate local {verb} ended with {code}: {last}")
