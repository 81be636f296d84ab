"""A release in a cluster where anything may fail at any time: what must hold meanwhile, and where it ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from app.releases.control.cluster_state import UNLIMITED_REPLICAS
from app.releases.judge import Verdict
from app.releases.lifecycle.machine import decide
from app.releases.lifecycle.observation import (
    Action,
    Deliver,
    Deploy,
    MoveInline,
    Observation,
    ReserveCapacity,
    SetWeights,
    TakeDown,
)
from app.releases.lifecycle.orders import OrderRefusedError
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import LEAVING, Release
from tests.releases.documents import ordered, plan, release

PLANS = {
    "canary": plan(),
    "confirmed": plan(promotion="confirmed", when_undecided="roll_back"),
    "blue_green": plan(strategy="blue_green", steps=[{"weight": 0, "gate": "time", "min_duration": "5s"}]),
    "shadow": plan(strategy="shadow", mirror=0.5, steps=[{"weight": 0, "gate": "judge", "min_samples": 50}]),
    "ab": plan(strategy="ab", steps=[{"weight": 0.5, "max_duration": "60s"}], when_undecided="promote"),
}


@dataclass
class SimulatedCluster:
    """The route table, the versions' replicas, the gateway replicas' view and the registry; who acts may crash."""

    dice: random.Random
    stored: Release
    weights: dict[str, float] = field(default_factory=lambda: {"1": 1.0})
    announced: str | None = None
    running: dict[str, int] = field(default_factory=lambda: {"1": 2})
    starting: dict[str, int] = field(default_factory=dict)
    inline: set[str] = field(default_factory=set)
    unloadable: bool = False
    moving: int = 0
    lag: int = 0
    behind: list[tuple[dict[str, float], str | None]] = field(default_factory=list)
    registry_away: int = 0
    aliases: dict[str, str | None] = field(default_factory=lambda: {"champion": "1"})
    delivered: int = 0
    now: float = 0.0
    broken: bool = False
    verdict: Verdict = "undecided"
    calm: bool = False

    def observe(self) -> Observation:
        return Observation(
            now=self.now,
            weights=dict(self.weights),
            announced=self.announced == self.stored.id,
            followed=not self.lag,
            running=self.running | dict.fromkeys(self.inline, UNLIMITED_REPLICAS),
            inline=frozenset(self.inline),
            apps=frozenset({*self.running, *self.starting}),
            failed={"2": "it does not load"} if self.broken else {},
            delivered=self.delivered,
            verdict=self.verdict,
            why="the judge said so",
            counted=int(self.now * 10),
        )

    def turn(self) -> None:
        """One look of a controller, which may die at any line of it."""
        decided = decide(self.stored, self.observe())
        if self.crash():
            return
        self.stored = decided.release
        for action in decided.actions:
            if self.crash():
                return
            if self.fails():
                continue  # it never arrived
            self.do(action)
            self.check()

    def crash(self) -> bool:
        if self.calm or self.dice.random() > 0.15:
            return False
        self.delivered = 0  # who takes over does not know what the registry has
        return True

    def fails(self) -> bool:
        return not self.calm and self.dice.random() < 0.15

    def do(self, action: Action) -> None:
        match action:
            case Deploy(version):
                if not self.broken or version != "2":
                    self.starting.setdefault(version, self.dice.randrange(3))
            case ReserveCapacity(version, replicas):
                if version in self.inline:
                    return  # it has no replicas of its own to be told
                if self.running.get(version, 0) and self.running[version] < replicas:
                    self.running[version] += 1
            case SetWeights(weights, announced):
                assert weights
                for version, weight in weights.items():
                    assert version in self.weights, f"{version} is not deployed"
                    if weight > self.weights[version]:
                        runs = version in self.inline or self.running.get(version, 0)
                        assert runs, f"weight for {version}, which does not run"
                self.behind.append((self.weights, self.announced))
                self.weights = {version: weights.get(version, 0.0) for version in self.weights}
                self.announced = self.stored.id if announced else None
                self.lag = 2
            case TakeDown(version) if version not in self.starting:
                assert not self.weights.get(version)
                for held, mirrored in self.behind:
                    assert not held.get(version), "a gateway replica may still ask it"
                    assert mirrored is None or version == "1", "a gateway replica may still mirror to it"
                self.weights.pop(version, None)
                self.running.pop(version, None)
                self.inline.discard(version)
                self.lag = 2
            case MoveInline(version) if not self.moving:
                assert self.weights == {**dict.fromkeys(self.weights, 0.0), version: 1.0}
                assert self.announced is None
                self.inline.add(version)
                self.moving = 1 + self.dice.randrange(4)
                self.lag = 2
            case Deliver(note) if not self.registry_away:
                lost = self.stored.phase in LEAVING
                assert not (lost and (note.name, note.version) == ("champion", "2")), "the alias goes to who has lost"
                if note.kind == "alias":
                    self.aliases[note.name] = note.version
                if not self.fails():  # else its reply was lost
                    self.delivered = max(self.delivered, note.number)

    def started(self) -> None:
        for version, turns in list(self.starting.items()):
            self.starting[version] = turns - 1
            if not turns:
                del self.starting[version]
                self.behind.append((dict(self.weights), self.announced))
                self.weights.setdefault(version, 0.0)
                self.running[version] = max(self.running.get(version, 0), 1)
                self.lag = 2
        if self.moving:
            self.moving -= 1
            if not self.moving and not self.unloadable:
                self.running.pop(self.stored.challenger, None)  # every gateway replica has it
            elif not self.moving and self.running.get(self.stored.challenger, 0):
                self.inline.discard(self.stored.challenger)  # one could not load it
                self.lag = 2

    def misfortune(self) -> None:
        match self.dice.choice(
            ["replica", "cluster", "breaks", "fail", "pass", "person", "person", "registry", "idle"]
        ):
            case "registry":
                self.registry_away = self.dice.randrange(20)
            case "replica":
                for version in list(self.running)[:1]:
                    self.running[version] = max(0, self.running[version] - 1)
            case "cluster" if self.dice.random() < 0.2:
                self.running, self.starting, self.moving = {}, {}, 0
            case "breaks" if self.dice.random() < 0.1:
                self.broken = True
            case "fail" if self.dice.random() < 0.2:
                self.verdict = "fail"
            case "pass" if self.verdict != "fail":
                self.verdict = "pass"
            case "person":
                verb = self.dice.choice(["pause", "resume", "promote", "promote", "rollback", "cancel"])
                if verb in ("rollback", "cancel") and self.stored.phase != "committing" and self.dice.random() < 0.8:
                    return
                try:
                    full = {"full": self.dice.random() < 0.2} if verb == "promote" else {}
                    self.stored = ordered(self.stored, verb, "key", self.now, **full)
                except OrderRefusedError:
                    return

    def check(self) -> None:
        total = sum(self.weights.values())
        assert total == pytest.approx(1.0) or (total == 0 and self.stored.champion is None)
        if self.stored.phase in ("rolled_back", "cancelled"):
            assert self.aliases.get("champion") == self.stored.champion

    def live(self, turns: int) -> None:
        for _ in range(turns):
            self.now += self.dice.choice([0.2, 1.0, 5.0])
            self.started()
            self.registry_away = 0 if self.calm else max(0, self.registry_away - 1)
            self.lag = max(0, self.lag - 1)
            if not self.lag:
                self.behind = []
            if not self.calm and self.dice.random() < 0.4:
                self.misfortune()
            self.turn()
            self.check()

    def settle(self) -> None:
        """No more misfortune; whoever has to decide does."""
        self.calm = True
        if not self.stored.is_final and not self.broken and self.verdict != "fail":
            self.verdict = "pass"
        for _ in range(40):
            try:
                self.stored = ordered(self.stored, "resume", "key", self.now)
                self.stored = ordered(self.stored, "promote", "key", self.now)
            except OrderRefusedError:
                pass
            self.live(10)
            if self.stored.is_final:
                return


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("chunk", range(4))
def test_whatever_fails_a_release_ends_whole(name: str, chunk: int) -> None:
    endings = set()
    for seed in range(chunk * 150, chunk * 150 + 150):
        ending = _lived(PLANS[name], seed)
        endings.add(ending)
    assert {"promoted", "rolled_back"} <= endings


def test_the_first_version_of_a_model_needs_no_champion() -> None:
    assert {_lived(PLANS["canary"], seed, champion=None) for seed in range(150)} >= {"promoted", "rolled_back"}


@pytest.mark.parametrize("inline", [{"1"}, set()], ids=["from inline", "from replicas"])
@pytest.mark.parametrize("unloadable", [False, True], ids=["loads", "does not load"])
def test_a_champion_that_is_to_be_inline_ends_there_or_where_it_was(inline: set[str], unloadable: bool) -> None:
    endings = {_lived(PLANS["canary"], seed, inline=inline, unloadable=unloadable) for seed in range(60)}
    assert {"promoted", "rolled_back"} <= endings


def _lived(
    of: ReleasePlan, seed: int, champion: str | None = "1", inline: set[str] | None = None, unloadable: bool = False
) -> str:
    dice = random.Random(seed)
    if champion is None:
        first = release(plan=of, champion=None, before={})
        cluster = SimulatedCluster(dice, first, weights={}, running={}, aliases={})
    elif inline is not None:
        replicas = 1 if inline else 2
        cluster = SimulatedCluster(
            dice,
            release(plan=of, inline=True, replicas=replicas),
            running={} if inline else {"1": 2},
            inline=set(inline),
            unloadable=unloadable,
        )
    else:
        cluster = SimulatedCluster(dice, release(plan=of))
    start = dict(cluster.weights)
    cluster.live(dice.randrange(10, 120))
    cluster.settle()
    ended = cluster.stored
    assert ended.is_final, f"seed {seed}: {ended.phase} waits for {ended.waiting_for}"
    assert cluster.announced is None
    assert not ended.outbox
    assert not cluster.starting, "what is deployed after the end belongs to no release"
    assert set(cluster.running) <= set(cluster.weights)
    if inline is not None:
        promoted = ended.phase == "promoted"
        if not (promoted and unloadable):
            assert cluster.inline == ({"2"} if promoted else inline), f"seed {seed}"
            assert not cluster.inline & set(cluster.running), f"seed {seed}: half moved"
    if ended.phase == "promoted":
        assert (cluster.weights, cluster.aliases["champion"]) == ({"2": 1.0}, "2"), f"seed {seed}"
    else:
        assert (cluster.weights, cluster.aliases.get("champion")) == (start, champion), f"seed {seed}"
        assert ended.reason
    return ended.phase
