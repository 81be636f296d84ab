"""Make, show and revoke the gateway's API keys.

  python -m app.web.keys create --name mobile --scope predict --rate 100 --burst 200 --expires 90d
  python -m app.web.keys list                   every key: name, id, scopes, limit, state
  python -m app.web.keys show mobile            one key, by id or name
  python -m app.web.keys revoke mobile          by id or name; a revoked key stays so

`create` prints the key, once, on its standard output: Redis keeps its SHA-256 only. A new key is good, and a revoked
one refused, on every gateway replica within about a second. Redis is the one of TIDEGATE_REDIS_URL.

Scopes: predict (ask models), release (change weights and releases), admin (everything). Without --rate a key is not
limited; with it all gateway replicas together let --rate requests per second through, --burst at once after a rest.
Exit code: 0 done, 1 refused or failed, 2 not understood.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from app.errors import NotFoundError
from app.redis_client import connect
from app.settings import RedisSettings, SettingsError, get_settings
from app.web.keys.api_key import ApiKey, BadKeyError, Limit, Scope, mint
from app.web.keys.key_store import KeyStore

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class UnknownKeyError(NotFoundError):
    """No key, or more than one, is meant."""


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.verb == "create" and options.burst is not None and options.rate is None:
        parser.error("--burst needs --rate")
    try:
        asyncio.run(_run(options, get_settings().redis))
    except (SettingsError, BadKeyError, UnknownKeyError) as error:
        print(error, file=sys.stderr)
        return 1
    except RedisError as error:
        print(f"Redis at TIDEGATE_REDIS_URL does not answer: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, settings: RedisSettings) -> None:
    now = int(time.time())
    redis = connect(settings)
    store = KeyStore(redis)
    try:
        match options.verb:
            case "create":
                await _create(options, store, now)
            case "list":
                _list(await store.read_all(), now, as_json=options.json)
            case "show":
                key = find(await store.read_all(), options.key, now)
                print(json.dumps(_shown(key, now), indent=2))
            case "revoke":
                key = find(await store.read_all(), options.key, now)
                await store.revoke(key, now)
                done = "was revoked already" if key.revoked is not None else "is revoked"
                print(f"key {key.id} ({key.name}) {done}")
    finally:
        await redis.aclose()


async def _create(options: argparse.Namespace, store: KeyStore, now: int) -> None:
    rate = options.rate
    limit = None if rate is None else Limit(rate, options.burst or math.ceil(rate))
    text, key = mint(options.name, options.scope, now, limit, options.expires)
    await store.add(key)
    print(f"key {key.id} ({key.name}): {', '.join(sorted(key.scopes))}. It is shown this once:", file=sys.stderr)
    print(text)


def find(keys: Sequence[ApiKey], wanted: str, now: float) -> ApiKey:
    """The key with this id, or the one with this name; of several, the one that is in force.

    Raises:
        UnknownKeyError: there is none, or several are in force.
    """
    by_id = [key for key in keys if key.id == wanted]
    named = [key for key in keys if key.name == wanted]
    live = [key for key in named if key.in_force(now)]
    if len(live) > 1:
        raise UnknownKeyError(
            f"{len(live)} keys are named {wanted!r}; say which: {', '.join(key.id for key in live)}"
        )
    found = by_id or live or named[-1:]
    if not found:
        raise UnknownKeyError(f"no key has the id or name {wanted!r}; python -m app.web.keys list shows them")
    return found[0]


def _list(keys: Sequence[ApiKey], now: float, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_shown(key, now) for key in keys], indent=2))
        return
    shown = Table(box=None, pad_edge=False)
    for title in ("name", "id", "scopes", "rate/s", "burst", "expires", "state"):
        shown.add_column(title, overflow="fold", no_wrap=title not in ("name", "scopes"))
    for key in keys:
        row = _shown(key, now)
        limit = key.limit
        shown.add_row(
            key.name,
            key.id,
            ", ".join(row["scopes"]),
            f"{limit.rate:g}" if limit else "",
            str(limit.burst) if limit else "",
            (row["expires"] or "never")[:10],
            row["state"],
        )
    Console().print(shown)


def _shown(key: ApiKey, now: float) -> dict[str, Any]:
    """A key for people and programs: all but its hash."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "rate": key.limit.rate if key.limit else None,
        "burst": key.limit.burst if key.limit else None,
        "created": _instant(key.created),
        "expires": _instant(key.expires),
        "revoked": _instant(key.revoked),
        "state": "revoked" if key.revoked is not None else "in force" if key.in_force(now) else "expired",
    }


def _instant(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lifetime(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a number with s, m, h, d or w, such as 30d")
    return int(found[1]) * UNITS_S[found[2]]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a number of requests per second above 0")
    return rate


def _burst(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a whole number of requests from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.web.keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it, once")
    create.add_argument("--name", required=True, help="who or what uses it")
    create.add_argument(
        "--scope", required=True, action="append", type=Scope, choices=list(Scope), help="may be repeated"
    )
    create.add_argument("--rate", type=_rate, metavar="N", help="requests per second, all replicas together")
    create.add_argument("--burst", type=_burst, metavar="N", help="requests at once after a rest (default: --rate)")
    create.add_argument(
        "--expires", type=_lifetime, metavar="TIME", help="its lifetime: 12h, 30d, 8w (default: none)"
    )
    listing = verbs.add_parser("list", help="every key")
    listing.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    for verb, meaning in (("show", "one key, as JSON"), ("revoke", "revoke one; again does nothing")):
        one = verbs.add_parser(verb, help=meaning)
        one.add_argument("key", metavar="ID|NAME")
    return parser


if __name__ == "__main__":
    sys.exit(main())
