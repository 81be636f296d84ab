"""``tidegate keys``."""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from app.exit_codes import FAILED
from app.redis_client import connect
from app.settings import get_settings
from app.terminal import exit_code_of, print_json, print_table, table
from app.web.keys.api_key import Limit, Scope, mint
from app.web.keys.key_listing import describe, find_key
from app.web.keys.key_store import KeyStore
from jobs.cli.options import Json, positive_number, whole_number

HELP = """Create, show and revoke the gateway's API keys.

tidegate keys create --name mobile --scope predict --rate 100 --expires 90d
tidegate keys list
tidegate keys revoke mobile

create prints the key, once, on its standard output: Redis keeps its SHA-256
only. A new key is good, and a revoked one refused, on every gateway replica
within about a second. Redis is the one of TIDEGATE_REDIS_URL.

Scopes: predict (ask models), release (change weights and releases), admin
(everything). Without --rate a key is not limited; with it all gateway
replicas together let --rate requests per second through, --burst at once
after a rest.

Exit code: 0 done, 1 refused or failed, 2 not understood."""
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

app = typer.Typer(help=HELP, add_completion=False)
Key = Annotated[str, typer.Argument(metavar="ID|NAME", show_default=False)]


def _lifetime(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: accepted is a number with s, m, h, d or w, such as 30d")
    return int(found[1]) * _UNITS_S[found[2]]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="The caller that uses it.")],
    scope: Annotated[list[Scope], typer.Option(help="May be repeated.")],
    rate: Annotated[
        float | None,
        typer.Option(parser=positive_number, metavar="N", help="Requests per second, all gateway replicas together."),
    ] = None,
    burst: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="Requests at once after a rest; else --rate.")
    ] = None,
    expires: Annotated[
        int | None, typer.Option(parser=_lifetime, metavar="TIME", help="Its lifetime: 12h, 30d, 8w; else none.")
    ] = None,
) -> int:
    """Create a key and print it, once."""
    if burst is not None and rate is None:
        raise typer.BadParameter("--burst needs --rate")
    limit = None if rate is None else Limit(rate, burst or math.ceil(rate))

    async def work(store: KeyStore, now: int) -> None:
        text, key = mint(name, scope, now, limit, expires)
        await store.add(key)
        about = f"key {key.id} ({key.name}): {', '.join(sorted(key.scopes))}. It is shown this once:"
        print(about, file=sys.stderr)
        print(text)

    return _run(work)


@app.command("list")
def list_(as_json: Json = False) -> int:
    """List every key: name, id, scopes, limit, state."""

    async def work(store: KeyStore, now: int) -> None:
        rows = [describe(key, now) for key in await store.read_all()]
        if as_json:
            print_json(rows)
            return
        titles = ("name", "id", "scopes", "rate/s", "burst", "expires", "state")
        shown = table(*titles, whole=set(titles) - {"name", "scopes"})
        for row in rows:
            shown.add_row(
                row["name"],
                row["id"],
                ", ".join(row["scopes"]),
                "" if row["rate"] is None else f"{row['rate']:g}",
                "" if row["burst"] is None else str(row["burst"]),
                (row["expires"] or "never")[:10],
                row["state"],
            )
        print_table(shown)

    return _run(work)


@app.command()
def show(key: Key) -> int:
    """Show one key, by id or name, as JSON."""

    async def work(store: KeyStore, now: int) -> None:
        print_json(describe(find_key(await store.read_all(), key, now), now))

    return _run(work)


@app.command()
def revoke(key: Key) -> int:
    """Revoke a key, by id or name; again does nothing."""

    async def work(store: KeyStore, now: int) -> None:
        found = find_key(await store.read_all(), key, now)
        await store.revoke(found, now)
        done = "was revoked already" if found.revoked is not None else "is revoked"
        print(f"key {found.id} ({found.name}) {done}")

    return _run(work)


def _run(work: Callable[[KeyStore, int], Awaitable[None]]) -> int:
    async def connected() -> None:
        redis = connect(get_settings().redis)
        try:
            await work(KeyStore(redis), int(time.time()))
        finally:
            await redis.aclose()

    return exit_code_of(lambda: asyncio.run(connected()), highest=FAILED)
