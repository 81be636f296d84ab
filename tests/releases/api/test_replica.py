"""The parts of the controller's replica: their order, and one that fails to stop."""

from __future__ import annotations

import pytest

from app.releases.api.ingress import ControllerReplica
from app.settings import Settings


class Part:
    """A part that records its start and its stop."""

    def __init__(self, name: str, calls: list[str], fails: bool = False) -> None:
        self._name, self._calls, self._fails = name, calls, fails

    def start(self) -> None:
        self._calls.append(f"start {self._name}")

    async def stop(self) -> None:
        self._calls.append(f"stop {self._name}")
        if self._fails:
            raise RuntimeError(f"{self._name} does not stop")

    async def aclose(self) -> None:
        await self.stop()


async def test_parts_stop_in_the_reverse_order_and_one_that_fails_stops_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    replica = ControllerReplica(Settings(), "first")
    names = ["_keys", "_samples", "_labels", "controller", "registry", "feed"]
    for name in names:
        monkeypatch.setattr(replica, name, Part(name, calls, fails=name == "registry"))
    monkeypatch.setattr(replica, "_redis", Part("_redis", calls))
    await replica.start()
    assert calls == [f"start {name}" for name in names]
    calls.clear()
    with pytest.raises(RuntimeError, match="registry does not stop"):
        await replica.stop()
    assert calls == [f"stop {name}" for name in [*reversed(names), "_redis"]]
