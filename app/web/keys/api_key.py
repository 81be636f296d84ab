"""An API key: its text, which only its owner has, and the document that is kept of it. Pure.

The text is ``tg_<id>_<secret>``: the id finds the document, the secret is 32 random bytes.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import msgspec

from app.errors import InvalidArgumentError
from app.stored_document import UNKNOWN, as_stored, with_unknown

PREFIX = "tg"
ID_BYTES = 6
SECRET_BYTES = 32
SCHEMA = 1
"""Of the stored document, where it is absent."""


class Scope(StrEnum):
    """Permissions of a key. ``admin`` allows everything; the others stand for themselves."""

    PREDICT = "predict"
    RELEASE = "release"
    ADMIN = "admin"


class BadKeyError(InvalidArgumentError, ValueError):
    """A key that cannot be made or read; the message says what could."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket.

    Attributes:
        rate: requests per second that it lets through in the long run.
        burst: requests that it lets through at once after a rest: its size.
    """

    rate: float
    burst: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise BadKeyError(f"rate {self.rate}: accepted is a number of requests per second above 0")
        if self.burst < 1:
            raise BadKeyError(f"burst {self.burst}: accepted is a whole number of requests from 1")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored part of a key.

    Attributes:
        id: public part of the key's text.
        name: who or what uses it.
        hash: SHA-256 of the whole text, hex.
        scopes: what it allows.
        created: seconds since the epoch.
        limit: its rate limit; None for none.
        expires: instant from which it is no longer good, seconds since the epoch; None for never.
        revoked: instant at which it was revoked, seconds since the epoch. The only thing that ever changes.
        unknown: fields of a newer version (``app.stored_document``).
    """

    id: str
    name: str
    hash: str
    scopes: frozenset[Scope]
    created: int
    limit: Limit | None = None
    expires: int | None = None
    revoked: int | None = None
    unknown: str = ""

    def allows(self, scope: Scope) -> bool:
        """True where the key opens a route that needs ``scope``."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def in_force(self, now: float) -> bool:
        """True while the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def encode(self) -> bytes:
        """The document as stored."""
        return msgspec.json.encode(as_stored(msgspec.to_builtins(self)), order="deterministic")


_KNOWN = frozenset(field.name for field in fields(ApiKey))


def decode(document: bytes) -> ApiKey:
    """The inverse of :meth:`ApiKey.encode`. Unknown fields are kept. A restriction that older versions must not
    overlook therefore comes with another ``schema``: they refuse such a key.

    Raises:
        BadKeyError: the document is not a key, or one of another schema.
    """
    try:
        found = with_unknown(msgspec.json.decode(document, type=dict[str, Any]), _KNOWN)
        if found[UNKNOWN] and msgspec.json.decode(found[UNKNOWN]).get("schema", SCHEMA) != SCHEMA:
            raise BadKeyError(f"an API key of another schema; accepted is {SCHEMA}")
        return msgspec.convert(found, ApiKey)
    except msgspec.MsgspecError as error:  # what Limit refuses comes as one too
        raise BadKeyError(f"not an API key: {error}") from error


def mint(
    name: str, scopes: Collection[Scope], now: int, limit: Limit | None = None, lifetime_s: int | None = None
) -> tuple[str, ApiKey]:
    """A new key: its text, to be shown once, and what is kept of it.

    Raises:
        BadKeyError: no name, no scope, or a lifetime below one second.
    """
    if not name.strip() or not name.isprintable():
        raise BadKeyError(f"name {name!r}: accepted is printable text that says who uses the key")
    if not scopes:
        raise BadKeyError(f"a key needs at least one scope of {', '.join(Scope)}")
    if lifetime_s is not None and lifetime_s < 1:
        raise BadKeyError(f"a lifetime of {lifetime_s} s: accepted is one second and more")
    id_ = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}_{id_}_{secrets.token_urlsafe(SECRET_BYTES)}"
    expires = None if lifetime_s is None else now + lifetime_s
    return text, ApiKey(id_, name, hash_key(text), frozenset(scopes), now, limit, expires)


def revoked(key: ApiKey, now: int) -> ApiKey:
    """The key, revoked; one that is revoked stays as it is."""
    return key if key.revoked is not None else replace(key, revoked=now)


def hash_key(text: str) -> str:
    """SHA-256 of a key, hex. Keys are random and long, so a fast hash gives nothing away."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_in(text: str) -> str:
    """The id in a key's text; empty where it is no such text."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""
