"""The load as a process of its own, so that its CPU time is not the server's.

The first line on standard input is the :class:`Plan`; each further line is an :class:`Order`, answered by one line
with a :class:`Burst` once every reply of the burst has come. It ends with standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

import msgspec

from jobs.bench.serving.load import Load, Order, Plan


async def main() -> None:
    """Until the end of standard input."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    load = Load(msgspec.json.decode(await lines.readline(), type=Plan))
    await load.open()
    while line := await lines.readline():
        burst = await load.burst(msgspec.json.decode(line, type=Order))
        print(json.dumps(asdict(burst)), flush=True)
    load.close()


if __name__ == "__main__":
    asyncio.run(main())
