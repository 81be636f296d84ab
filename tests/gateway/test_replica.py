"""The parts of a gateway replica stop in the reverse order of their start, whatever one of them does."""

from __future__ import annotations

from typing import Any

import pytest

from app.gateway import replica as module
from app.gateway.replica import GatewayReplica
from app.settings import RedisSettings, Settings

PARTS = {
    "warming": "_warming.stop",
    "mirror": "_mirror.stop",
    "plane": "plane.close",
    "samples": "_samples.stop",
    "reporter": "_reporter.stop",
    "events": "_events.close",
    "cache": "_cache.stop",
    "limiter": "_limiter.stop",
    "keys": "_keys.stop",
    "route tables": "watch.stop",
    "redis": "_redis.aclose",
    "store": "store.close",
}
"""The stop of each part by its name, the last started first."""


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> GatewayReplica:
    """A replica whose Redis is away."""
    monkeypatch.setattr(module, "FIRST_READ_S", 0.01)
    return GatewayReplica(Settings(redis=RedisSettings(url="redis://127.0.0.1:1/0", timeout_s=0.05)), "g1")


def record_stops(replica: GatewayReplica, failing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that were stopped, in that order; the stops of ``failing`` raise behind it."""
    stopped: list[str] = []
    for name, path in PARTS.items():
        attribute, _, method = path.partition(".")
        part = getattr(replica, attribute)

        def recording(name: str, stop: Any) -> Any:
            async def stop_and_record() -> None:
                stopped.append(name)
                await stop()
                if name in failing:
                    raise RuntimeError(f"{name} did not stop")

            return stop_and_record

        monkeypatch.setattr(part, method, recording(name, getattr(part, method)), raising=False)
    return stopped


async def test_parts_stop_in_the_reverse_order_of_their_start(
    replica: GatewayReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = record_stops(replica, (), monkeypatch)
    await replica.start()
    assert stopped == []
    await replica.stop()
    assert stopped == list(PARTS)


async def test_a_stop_that_fails_does_not_skip_the_others(
    replica: GatewayReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = record_stops(replica, ("mirror", "limiter"), monkeypatch)
    await replica.start()
    with pytest.raises(RuntimeError, match="limiter did not stop"):
        await replica.stop()
    assert stopped == list(PARTS)


async def test_a_start_that_fails_stops_what_had_started(
    replica: GatewayReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("no memory")

    stopped = record_stops(replica, (), monkeypatch)
    monkeypatch.setattr(replica._cache, "start", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        await replica.start()
    assert stopped == ["limiter", "keys", "route tables", "redis", "store"]
