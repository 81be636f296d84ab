"""Releases in Redis: documents, who may write them, and the audit log.

One controller at a time holds the lease. Every write carries the lease's fencing token and is refused, in the same
step, once another controller holds it: one that was paused for too long cannot overwrite what came after it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from pydantic import ValidationError
from redis.asyncio import Redis

from app.errors import FailedPreconditionError, UnavailableError
from app.releases.model.document import decode, encode
from app.releases.model.release import HistoryEntry, Release

log = logging.getLogger(__name__)

# One hash tag: every key lies in one slot of a Redis Cluster, as the scripts need.
ROOT = "tidegate:{releases}"
INDEX, LEASE, TOKENS, AUDIT, CHANGED = (f"{ROOT}:{name}" for name in ("index", "lease", "tokens", "audit", "changed"))
AUDIT_LENGTH = 100_000
RETENTION_COUNT = 1_000
"""Ended releases whose documents are kept."""

# Tokens grow with the wall clock: a Redis that lost its last second must not hand one out again. So a token also says
# since when the lease is held, and who was born after that takes it over at once: such a controller has been started
# to replace the holder, who is dead, or drains for half a minute and no longer gets the orders. The new token fences
# the old holder, who was born before it and cannot take the lease back as long as it is renewed.
_ACQUIRE = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
local token = held[2]
local mine = held[1] == ARGV[1]
if held[1] and not mine and tonumber(ARGV[4]) <= tonumber(token) then return 0 end
if not mine then
  token = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, tonumber(ARGV[3]))
  redis.call('SET', KEYS[2], string.format('%.0f', token))
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', string.format('%.0f', token))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(token)
"""
_RELEASE = "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
# ARGV: token, id, document, created, model, is new, is final, audit length, kept, then audit entries
_WRITE = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'fenced' end
local live = KEYS[2] .. ':live:' .. ARGV[5]
local held = redis.call('GET', live)
if ARGV[6] == '1' and held and held ~= ARGV[2] then return 'live ' .. held end
-- not only of a new one: a Redis that lost its last second may have lost its beginning
if ARGV[7] == '0' and not held then redis.call('SET', live, ARGV[2]) end
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
redis.call('SET', KEYS[2] .. ':doc:' .. ARGV[2], ARGV[3])
if ARGV[7] == '1' and held == ARGV[2] then redis.call('DEL', live) end
for i = 10, #ARGV do redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'entry', ARGV[i]) end
if ARGV[6] == '1' then
  local old = redis.call('ZRANGE', KEYS[3], 0, -1 - tonumber(ARGV[9]))
  for _, id in ipairs(old) do
    redis.call('DEL', KEYS[2] .. ':doc:' .. id)
    redis.call('ZREM', KEYS[3], id)
  end
end
redis.call('PUBLISH', KEYS[5], ARGV[2])
return 'ok'
"""


# ARGV: token, audit length, entry
_APPEND_AUDIT = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'fenced' end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[3])
return 'ok'
"""


class FencedError(UnavailableError):
    """The lease is somebody else's by now: nothing was written."""


class LiveReleaseError(FailedPreconditionError):
    """The model has a release under way already."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, as the audit log has it.

    Attributes:
        at: seconds since the epoch; who: a key's id, or ``controller``.
        release: empty where it is of none; what: in words; before, after: phase (and step) before and after it.
    """

    at: float
    who: str
    model: str = ""
    release: str = ""
    what: str = ""
    before: str = ""
    after: str = ""


def phase_text(release: Release) -> str:
    """A release's phase and step, in words for a log."""
    return f"step {release.step}" if release.phase == "step" else release.phase


class ReleaseStore:
    """Every method raises ``redis.RedisError`` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._acquire = redis.register_script(_ACQUIRE)
        self._release = redis.register_script(_RELEASE)
        self._write = redis.register_script(_WRITE)
        self._append_audit = redis.register_script(_APPEND_AUDIT)

    async def acquire(self, owner: str, lease_s: float, born: float) -> int | None:
        """Takes or renews the lease; its fencing token, or None while an owner holds it that took it later than at
        ``born``, when this owner began (seconds since the epoch)."""
        token = await self._acquire(
            keys=[LEASE, TOKENS],
            args=[owner, int(lease_s * 1000), time.time_ns() // 1_000_000, int(born * 1000)],
        )
        return int(token) or None

    async def give_up(self, owner: str) -> None:
        """Gives the lease back, if it is still this owner's."""
        await self._release(keys=[LEASE], args=[owner])

    async def create(self, release: Release, token: int) -> None:
        """Stores a new release.

        Raises:
            LiveReleaseError: the model has one under way.
            FencedError: the lease is somebody else's.
        """
        await self._put(release, token, release.history, new=True, before="")

    async def save(self, before: Release, after: Release, token: int) -> None:
        """Stores a changed release, and appends to the audit log the entries that its history gained.

        Raises:
            FencedError: the lease is somebody else's.
        """
        known = len(before.history)
        same = after.history[:known] == before.history
        fresh = after.history[known:] if same else after.history[-1:]
        await self._put(after, token, fresh, new=False, before=phase_text(before))

    async def append_audit(self, entry: AuditEntry, token: int) -> None:
        """Appends to the audit log an entry that belongs to no release.

        Raises:
            FencedError: the lease is somebody else's.
        """
        reply = await self._append_audit(keys=[LEASE, AUDIT], args=[token, AUDIT_LENGTH, json.dumps(asdict(entry))])
        if _text(reply) == "fenced":
            raise FencedError("another controller holds the lease")

    async def read(self, release: str) -> Release | None:
        """A release, or None when there is none of that id."""
        document = await self._redis.get(f"{ROOT}:doc:{release}")
        return _decode(release, document)

    async def newest(self, count: int) -> list[Release]:
        """Releases, the newest first."""
        found: Any = await self._redis.zrevrange(INDEX, 0, count - 1)
        ids = [_text(each) for each in found]
        if not ids:
            return []
        documents = await self._redis.mget([f"{ROOT}:doc:{each}" for each in ids])
        read = (_decode(each, document) for each, document in zip(ids, documents, strict=True))
        return [release for release in read if release is not None]

    async def live(self) -> list[Release]:
        """Releases under way, the oldest first."""
        return [release for release in reversed(await self.newest(RETENTION_COUNT)) if not release.is_final]

    async def audit(self, count: int, model: str | None = None) -> list[AuditEntry]:
        """The audit log's newest entries, the newest first; of one model, or of all."""
        found: list[AuditEntry] = []
        last = "+"
        while len(found) < count:
            entries: Any = await self._redis.xrevrange(AUDIT, max=last, count=max(count, 100))
            for position, fields in entries:
                entry = _audit_entry(fields[b"entry"])
                if entry is not None and (model is None or entry.model == model):
                    found.append(entry)
                last = f"({_text(position)}"
            if not entries:
                break
        return found[:count]

    async def _put(self, release: Release, token: int, fresh: Sequence[HistoryEntry], new: bool, before: str) -> None:
        entries = [
            json.dumps(
                {
                    "at": entry.at,
                    "who": entry.who,
                    "model": release.model,
                    "release": release.id,
                    "what": entry.what,
                    "before": before,
                    "after": phase_text(release),
                }
            )
            for entry in fresh
        ]
        reply = _text(
            await self._write(
                keys=[LEASE, ROOT, INDEX, AUDIT, CHANGED],
                args=[
                    token,
                    release.id,
                    encode(release),
                    release.created,
                    release.model,
                    int(new),
                    int(release.is_final),
                    AUDIT_LENGTH,
                    RETENTION_COUNT,
                    *entries,
                ],
            )
        )
        if reply == "fenced":
            raise FencedError(f"release {release.id}: another controller holds the lease")
        if reply != "ok":
            raise LiveReleaseError(
                f"model {release.model} has a release under way: {reply.removeprefix('live ')}; "
                "it ends by itself, or by rollback or cancel"
            )


def _decode(release: str, document: Any) -> Release | None:
    if document is None:
        return None
    try:
        return decode(document)
    except ValidationError as error:  # of one release; the others must not stand still for it
        log.error("release %s in Redis cannot be read: %s", release, error)
        return None


def _audit_entry(document: bytes) -> AuditEntry | None:
    """An entry of any version: fields that are missing are empty, unknown ones are not shown. Entries are never
    rewritten, so nothing of them is lost."""
    try:
        return msgspec.convert(json.loads(document), AuditEntry)
    except (ValueError, msgspec.ValidationError) as error:
        log.error("an entry of the audit log cannot be read: %s", error)
        return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
