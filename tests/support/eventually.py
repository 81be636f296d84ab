"""Waits for what other tasks and processes do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Until ``holds()``; TimeoutError if it never does."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.01)
