"""The bucket that all replicas share: one hash a key in Redis, by Redis' clock."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from app.web.keys import Limit

# Gives as many whole tokens as there are, up to the wanted. A bucket is forgotten when it would be full again: no
# bucket and a full one are the same. ARGV: rate, burst, wanted. Answers tokens given, tokens left (as text: Redis
# cuts numbers off).
_TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if held[1] and held[2] then
  tokens = math.min(burst, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * rate / 1000000)
end
local given = math.min(wanted, math.floor(tokens))
tokens = tokens - given
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return {given, string.format('%.9f', tokens)}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Tokens that a call gave, and those that it left in the bucket."""

    given: int
    left: float


def key_of(key_id: str) -> str:
    """The Redis key of an API key's bucket."""
    return f"tidegate:rate:{{{key_id}}}"


class SharedBuckets:
    """Every API key's bucket. Raises ``redis.RedisError`` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()

    async def take(self, key_id: str, limit: Limit, wanted: int) -> Taken:
        """Takes up to ``wanted`` tokens. A call whose reply is lost has taken them all the same."""
        given, left = await self._take(keys=[key_of(key_id)], args=[limit.rate, limit.burst, wanted])
        return Taken(int(given), float(left))
