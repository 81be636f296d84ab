"""Cost of a read of online features for its client.

20 float64 features of 1000 entities in one Redis, read by our store, by a pipeline written by hand and, where a
Python that has Feast is given, by Feast's async client and by our reader of the rows that Feast wrote. One read after
the other, in turns, so that each reader is measured next to the others; medians over the turns. CPU time is that of
the reader's process, without the server's.

Exit code: 0 when our store takes at least 10 times less of it than Feast for 32 entities, or Feast did not run; 1
when it takes more, or it could not be measured; 2 for wrong arguments.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console, RenderableType
from rich.progress import Progress

from app.errors import InvalidArgumentError
from app.routing.route_store import connect
from app.settings import RedisSettings
from jobs.bench.features.arms import TIMEOUT_S, Arm, arms, write
from jobs.bench.features.feast_process import (
    FEAST,
    READERS,
    FeastClient,
    connection_string,
    feast_client,
)
from jobs.bench.features.report import Turns, as_json, findings, shortfall, table
from jobs.bench.features.server import valkey
from jobs.bench.features.workload import POPULATION, Turn, timed
from jobs.bench.harness import Report, benchmark

ROWS_A_TURN = 960
LEAST_READS, MOST_READS = 8, 200


@dataclass(frozen=True, slots=True)
class Options:
    """The reads, the server and Feast."""

    entities: Annotated[list[int], typer.Option(metavar="N", help="Entities of a read.")] = field(
        default_factory=lambda: [1, 32, 256]
    )
    rounds: Annotated[int, typer.Option(metavar="N", help="Turns of each reader.")] = 15
    url: Annotated[
        str | None,
        typer.Option(
            metavar="REDIS",
            help="Read from this server, redis://:PASSWORD@HOST:PORT/DB; what is written there expires after an hour "
            "(default: a Valkey of its own).",
        ),
    ] = None
    feast_python: Annotated[Path | None, typer.Option(metavar="PATH", help="A Python that has feast[redis].")] = None
    peers: Annotated[
        bool, typer.Option("--peers", help="Install Feast into an environment of its own, in the user's cache.")
    ] = False


def measure(options: Options, console: Console) -> Report:
    """Let every reader read in turns."""
    _check(options)
    python = options.feast_python
    if options.peers:
        FEAST.make(console.print)
        python = FEAST.binary("python")
    with ExitStack() as stack:
        url = options.url or stack.enter_context(valkey())
        turns, feast, server = asyncio.run(_take_turns(options, url, python, console))
    found = findings(turns)
    shown: list[RenderableType] = [
        table(found, f"Reading features from {server}" + (f", beside Feast {feast}" if feast else ""))
    ]
    if feast is None:
        shown.append("Feast did not run: --peers installs it apart, --feast-python names a Python that has it")
    short = shortfall(found)
    return Report(shown, as_json(found, feast, server), [short] if short else [])


def _check(options: Options) -> None:
    if not all(1 <= each <= POPULATION for each in options.entities):
        entities = " ".join(map(str, options.entities))
        raise InvalidArgumentError(f"--entities {entities}: 1 to {POPULATION} are accepted")
    if options.rounds < 1:
        raise InvalidArgumentError(f"--rounds {options.rounds}: 1 or more is accepted")
    if options.url is not None:
        parts = urlsplit(options.url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            accepted = "redis://:PASSWORD@HOST:PORT/DB or rediss://… is accepted"
            raise InvalidArgumentError(f"--url {options.url}: {accepted}")
        connection_string(options.url)
    if options.peers and options.feast_python is not None:
        raise InvalidArgumentError("--peers and --feast-python: one of them is accepted")
    if options.feast_python is not None and not options.feast_python.exists():
        raise InvalidArgumentError(f"--feast-python {options.feast_python}: there is no such program")


async def _take_turns(
    options: Options, url: str, python: Path | None, console: Console
) -> tuple[Turns, str | None, str]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(RedisSettings(url=url, timeout_s=TIMEOUT_S)))
        await write(redis)
        feast = None if python is None else await stack.enter_async_context(feast_client(python, url))
        ours = arms(redis, with_feast=feast is not None)
        for arm in ours:
            await arm.check(range(POPULATION))
        server = await redis.info("server")
        turns = await _rounds(options.entities, options.rounds, ours, feast, console)
    name = f"Valkey {server['valkey_version']}" if "valkey_version" in server else f"Redis {server['redis_version']}"
    return turns, feast.version if feast else None, name


async def _rounds(
    entities: list[int], rounds: int, ours: tuple[Arm, ...], feast: FeastClient | None, console: Console
) -> Turns:
    turns: dict[tuple[int, str], list[Turn]] = defaultdict(list)
    # Drawn between turns only: a thread that refreshes it would be counted as the reader's.
    with Progress(console=console, auto_refresh=False, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=len(entities) * (rounds + 1))
        for number in entities:
            reads = min(max(LEAST_READS, ROWS_A_TURN // number), MOST_READS)
            for seed in range(rounds + 1):
                for arm in ours:
                    turns[number, arm.name].append(await timed(arm.read, number, reads, seed))
                if feast is not None:
                    for name in READERS:
                        turns[number, name].append(await feast.turn(name, number, reads, seed))
                progress.update(task, advance=1, refresh=True)
    return {key: found[1:] for key, found in turns.items()}  # the first one warms up


app = benchmark(Options, measure)
