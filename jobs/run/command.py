"""``tidegate local …`` as a step of the main job: the command that a user would type."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from jobs.run.errors import StepError

ROOT = Path(__file__).parents[2]


async def local(*arguments: str, say: Callable[[str], None]) -> None:
    """Run ``tidegate local …``, passing its lines on.

    Raises:
        StepError: it ended with another code than 0.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "jobs.cli", "local", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    last = ""
    assert process.stdout is not None
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                last = line
                say(line)
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if code:
        raise StepError(f"tidegate local {' '.join(arguments)} ended with {code}: {last}")
