"""Releases over HTTP as a test drives them, their replica's process, and who watches the weights meanwhile."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from ray.util.state import list_actors

from app.releases.model.names import APP
from app.settings import Settings
from tests.support.background import Background
from tests.support.models import log_flawed

LIMIT_S = 180.0
ENDS = ("promoted", "rolled_back", "cancelled")
BACK_BEGINS, BACK_FOLLOWED = "the way back begins", "every gateway replica follows the weights of the start"
"""How entries of a release's history begin."""
WAY_BACK_S = 10.0
"""Two seconds are meant and usual (the time is printed); a machine that does much else needs longer."""

QUICK: dict[str, Any] = {
    "strategy": "canary",
    "steps": [
        {"weight": 0.2, "gate": "time", "min_duration": "2s", "min_samples": 20},
        {"weight": 0.5, "gate": "time", "min_duration": "2s", "min_samples": 20},
    ],
    "guards": [{"metric": "errors", "tolerance": 1.5}],
    "scale_down_delay": "2s",
}
"""A canary that takes a few seconds."""


class Api:
    """The routes of a model's releases, as a key with every scope sees them."""

    def __init__(self, settings: Settings, model: str) -> None:
        assert settings.gateway.admin_key is not None
        headers = {"authorization": f"Bearer {settings.gateway.admin_key.get_secret_value()}"}
        self.http = httpx.Client(base_url=settings.gateway.url, headers=headers, timeout=15)
        self.model = model

    def begin(self, version: str, plan: dict[str, Any]) -> str:
        """Begin a release; its id."""
        reply = self.http.post("/releases", json={"model": self.model, "version": version, "plan": plan})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def order(self, release: str, verb: str) -> None:
        """Give an order that is taken."""
        reply = self.http.post(f"/releases/{release}/{verb}")
        assert reply.status_code == 200, reply.text

    def insist(self, release: str, verb: str) -> float:
        """Give an order until it is taken, as a client does that is told to try again later; the seconds it took."""
        started = time.monotonic()
        while True:
            said = ""
            try:
                reply = self.http.post(f"/releases/{release}/{verb}", timeout=5)
                if reply.status_code == 200:
                    return time.monotonic() - started
                said = f"{reply.status_code} {reply.text}"
                assert reply.status_code in (404, 500, 502, 503, 504), said
            except httpx.HTTPError as error:
                said = repr(error)
            assert time.monotonic() - started < LIMIT_S, said
            time.sleep(0.1)

    def get(self, release: str) -> dict[str, Any]:
        """The release now."""
        reply = self.http.get(f"/releases/{release}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def get_or_none(self, release: str) -> dict[str, Any] | None:
        """The release now, or None where there is no answer."""
        try:
            reply = self.http.get(f"/releases/{release}", timeout=5)
        except httpx.HTTPError:
            return None
        return reply.json() if reply.status_code == 200 else None

    def until(self, release: str, holds: Callable[[dict[str, Any]], bool], patient: bool = False) -> dict[str, Any]:
        """Block until ``holds(release)``.

        Args:
            patient: wait, too, while there is no answer.
        """
        deadline = time.monotonic() + LIMIT_S
        found: dict[str, Any] | None = None
        while True:
            now = self.get_or_none(release) if patient else self.get(release)
            found = now or found
            if now is not None and holds(now):
                return now
            shown = f"{found['state']} waits for {found['waiting_for']}; {found['reason']}" if found else "no answer"
            assert time.monotonic() < deadline, shown
            assert now is None or not now["ended"], shown
            time.sleep(0.05)

    def reaches(self, release: str, *states: str, patient: bool = False) -> dict[str, Any]:
        """Block until the release is in one of these states."""
        return self.until(release, lambda found: found["state"] in states, patient)

    def ended(self, release: str, patient: bool = False) -> dict[str, Any]:
        """Block until the release has ended."""
        return self.reaches(release, *ENDS, patient=patient)

    def weights(self) -> dict[str, float]:
        """Version -> weight in force, of every deployed version."""
        table = self.http.get(f"/routes/{self.model}").json()
        return {route["version"]: route["weight"] for route in table["routes"]}


def first_version(api: Api, folder: Path) -> str:
    """The model's first version, released: there is no version to compare it with."""
    version = log_flawed(api.model, folder)
    assert api.ended(api.begin(version, QUICK))["state"] == "promoted"
    assert api.weights() == {version: 1.0}
    return version


def assert_back_in_time(release: dict[str, Any]) -> None:
    """Asserts that every gateway replica followed the weights of the start soon after the decision to go back."""
    at = {
        what: datetime.fromisoformat(entry["at"]).timestamp()
        for entry in release["history"]
        for what in (BACK_BEGINS, BACK_FOLLOWED)
        if entry["what"].startswith(what)
    }
    took = at[BACK_FOLLOWED] - at[BACK_BEGINS]
    print(f"every gateway replica follows the weights of the start after {took:.2f} s")
    assert 0 <= took < WAY_BACK_S


def replica_pids(app: str) -> set[int]:
    """Processes of an application's replicas."""
    actors = list_actors(filters=[("state", "=", "ALIVE")], limit=1000)
    return {actor.pid for actor in actors if actor.pid and (actor.name or "").startswith(f"SERVE_REPLICA::{app}#")}


def kill_controller() -> None:
    """End the process that decides about releases as a loss of power would; Serve starts another."""
    pids = replica_pids(APP)
    assert pids, "no replica of the releases runs"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class Weights(Background):
    """Reads the route table in force twenty times a second for as long as a block runs.

    Attributes:
        seen: version -> weight, each time that they were others; versions at 0 left out.
        samples: how often they were read.
    """

    def __init__(self, settings: Settings, model: str) -> None:
        self._api = Api(settings, model)
        super().__init__(self._run)
        self.seen: list[dict[str, float]] = []
        self.samples = 0

    def shares(self, challenger: str) -> list[float]:
        """The challenger's share, each one that was in force after another."""
        return [weights.get(challenger, 0.0) for weights in self.seen]

    def assert_only(self, versions: Collection[str], shares: Collection[float], challenger: str) -> None:
        """Asserts that only these shares of the challenger were ever in force, and the rest with one other."""
        assert self.samples > 0
        for weights in self.seen:
            assert weights.keys() <= set(versions), weights
            assert math.isclose(math.fsum(weights.values()), 1.0), weights
            share = weights.get(challenger, 0.0)
            assert any(math.isclose(share, one, abs_tol=1e-9) for one in shares), weights

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                reply = self._api.http.get(f"/routes/{self._api.model}", timeout=5)
            except httpx.HTTPError:
                continue
            if reply.status_code != 200:  # Redis is away
                continue
            self.samples += 1
            weights = {route["version"]: route["weight"] for route in reply.json()["routes"] if route["weight"]}
            if not self.seen or self.seen[-1] != weights:
                self.seen.append(weights)
