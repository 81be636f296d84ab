"""Keys as an operator names and sees them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.errors import NotFoundError
from app.web.keys.api_key import ApiKey


class UnknownKeyError(NotFoundError):
    """The text names no key, or several."""


def find_key(keys: Sequence[ApiKey], wanted: str, now: float) -> ApiKey:
    """Returns the key with this id, or the one with this name; of several, the one that is in force.

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
        raise UnknownKeyError(f"no key has the id or name {wanted!r}; tidegate keys list shows them")
    return found[0]


def describe(key: ApiKey, now: float) -> dict[str, Any]:
    """Returns a key without its hash, for people and programs."""
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
