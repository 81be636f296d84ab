"""Bringing a version up beside a Ray Serve that only stands there."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.releases.control import deployment as versions
from app.releases.control.deployment import bring_up
from app.routing.route_table import Route, RouteTable
from app.settings import ServingSettings


async def test_serve_is_asked_beside_the_loop_on_which_the_lease_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_in: list[threading.Thread] = []

    def running() -> dict[str, str]:
        asked_in.append(threading.current_thread())
        return {"flights-v2-abcdef": "RUNNING"}

    async def read(model: str) -> RouteTable:
        return RouteTable(model, 1, "salt", routes=(Route("2", "flights-v2-abcdef"),))

    monkeypatch.setattr(versions, "running", running)
    monkeypatch.setattr(versions, "await_followed", lambda *_: asyncio.sleep(0))
    nobody, store = cast(Any, None), cast(Any, SimpleNamespace(read=read))
    await bring_up(nobody, store, nobody, "flights", "2", ServingSettings())
    assert asked_in
    assert threading.main_thread() not in asked_in
