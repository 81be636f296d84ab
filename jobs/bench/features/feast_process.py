"""This side of Feast's process: its start, its turns, its end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.errors import InvalidArgumentError
from jobs.bench.environments import Environment
from jobs.bench.features.workload import Turn
from jobs.bench.harness import BenchError

FEAST = Environment("feast[redis]==0.67.0")
READY_TIMEOUT_S = 180.0
TURN_TIMEOUT_S = 60.0
READERS = {"Feast's response, undecoded": "response", "Feast, values": "values"}
"""Our names for what Feast's process times: ``get_online_features_async`` alone, which answers with a message of
protobuf, and with the Python values out of it (``to_dict``)."""


@dataclass(frozen=True, slots=True)
class FeastClient:
    """Feast's process, which has written its rows.

    Attributes:
        version: of Feast.
    """

    version: str
    _process: asyncio.subprocess.Process

    async def turn(self, name: str, entities: int, reads: int, seed: int) -> Turn:
        """Have Feast read.

        Raises:
            BenchError: it failed, or did not answer in time.
        """
        await _tell(self._process, [READERS[name], entities, reads, seed])
        return Turn(**await _heard(self._process, TURN_TIMEOUT_S))


@asynccontextmanager
async def feast_client(python: Path, url: str) -> AsyncIterator[FeastClient]:
    """Feast under a Python of its own, for as long as the block.

    Raises:
        BenchError: it does not start, or cannot write.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # This package alone, by another way: those around it need what Feast's environment has not, and what lies
        # beside them may be packages of ours, which would come before Feast's.
        (folder / "features_bench").symlink_to(Path(__file__).parent)
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-m", "features_bench.feast_client"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": scratch, "PYTHONDONTWRITEBYTECODE": "1", "FEAST_USAGE": "False"},
            cwd=folder,
        )
        try:
            await _tell(process, {"connection": connection_string(url), "folder": scratch})
            yield FeastClient(await _heard(process, READY_TIMEOUT_S), process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def connection_string(url: str) -> str:
    """Feast's way to write a Redis address.

    Raises:
        InvalidArgumentError: it cannot be written so.
    """
    parts = urlsplit(url)
    found = {
        "db": parts.path.strip("/"),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "ssl": "true" if parts.scheme == "rediss" else "",
    }
    if any("," in value for value in found.values()):
        raise InvalidArgumentError("--url: Feast's connection string takes no comma in a user name or password")
    options = [f"{name}={value}" for name, value in found.items() if value]
    return ",".join([f"{parts.hostname}:{parts.port or 6379}", *options])


async def _tell(process: asyncio.subprocess.Process, what: object) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(what).encode() + b"\n")
        await process.stdin.drain()
    except ConnectionError:
        raise BenchError("Feast's process has ended; it says why above") from None


async def _heard(process: asyncio.subprocess.Process, timeout_s: float) -> Any:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            line = await process.stdout.readline()
    except TimeoutError:
        raise BenchError(f"Feast's process did not answer within {timeout_s:.0f} s") from None
    if not line:
        raise BenchError("Feast's process has ended; it says why above")
    return json.loads(line)
