"""The samples in Redis as the judge's side reads them: all writers of a tick together."""

from __future__ import annotations

import logging

from redis.asyncio import Redis

from app.monitoring.samples.encoding import decode, key_of, tick_of
from app.monitoring.sums import Arm, Metric, Sums, Tick

log = logging.getLogger(__name__)

PAGE = 1000
"""Fields that Redis is asked for at once."""

# Also deletes a field that is none, which would be found unreadable each time. ARGV: the last tick.
_FORGET = """
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local tick = tonumber(string.match(field, '^(%d+):'))
  if tick == nil or tick <= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], field)
  end
end
"""


class SampleStore:
    """Reads and forgets samples. Every method raises ``redis.RedisError`` when Redis is away.

    Args:
        redis: a client that answers with bytes; its owner closes it.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._forget = redis.register_script(_FORGET)
        self.unreadable = 0
        """Fields that were skipped since the start."""

    async def ticks(self, release: str, up_to: int) -> dict[int, Tick]:
        """The sums that Redis holds of a release, in the order of the ticks.

        Args:
            up_to: the last tick that is read, seconds since the epoch: one that every writer has sent by now. Sums of
                a tick that come later still, from a process that was cut off from Redis, are found by the next call.
        """
        found: dict[int, dict[Metric, dict[Arm, Sums]]] = {}
        unreadable = 0
        # A field may be seen twice while the hash grows.
        fields = {field: value async for field, value in self._redis.hscan_iter(key_of(release), count=PAGE)}
        for field, value in fields.items():
            try:
                tick = tick_of(field)
                if tick > up_to:
                    continue
                sums = decode(value)
            except ValueError as error:
                unreadable += 1
                log.error("samples of release %s, field %r, are skipped: %s", release, field, error)
            else:
                _add(found.setdefault(tick, {}), sums)
        self.unreadable += unreadable
        return {tick: found[tick] for tick in sorted(found)}

    async def forget(self, release: str, up_to: int) -> None:
        """Deletes the ticks up to and with ``up_to``."""
        await self._forget(keys=[key_of(release)], args=[up_to])

    async def drop(self, release: str) -> None:
        """Deletes all samples of a release."""
        await self._redis.unlink(key_of(release))


def _add(tick: dict[Metric, dict[Arm, Sums]], sums: dict[Metric, dict[Arm, Sums]]) -> None:
    for metric, arms in sums.items():
        held = tick.setdefault(metric, {})
        for arm, more in arms.items():
            held[arm] = held[arm].plus(more) if arm in held else more
