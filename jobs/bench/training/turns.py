"""Several groups of processes that compute in turns, so that each step of one is timed next to a step of the others.

The turns are kept in a torch TCPStore, on whose keys a process waits without computing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from torch import Tensor, nn
from torch._C._distributed_c10d import TCPStore

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe

TURN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Turns:
    """The plan: in every round each group makes ``steps`` steps, of which the first is not timed."""

    port: int
    rounds: int
    steps: int

    @property
    def total(self) -> int:
        """Steps of each group in all."""
        return self.rounds * self.steps

    def store(self, master: bool = False) -> TCPStore:
        """The store, which the benchmark keeps and its groups connect to."""
        wait = timedelta(seconds=TURN_TIMEOUT_S)
        return TCPStore("127.0.0.1", self.port, is_master=master, timeout=wait, wait_for_workers=False)


@dataclass
class Clock:
    """One rank's times: called once in each step, it waits for its group's turn at the start of each round."""

    turns: Turns
    group: str
    rank: int
    _store: TCPStore | None = None
    _step: int = 0
    _last: float = 0.0
    _times: list[float] = field(default_factory=list)

    def tick(self) -> None:
        """A step begins."""
        if self._store is None:
            self._store = self.turns.store()
        now = time.perf_counter()
        step, within = self._step, self._step % self.turns.steps
        if within > 1:  # the time of a step that neither began nor ended with a wait
            self._times.append(now - self._last)
        if within == 0:
            if step:
                self._finish(self._store, step // self.turns.steps - 1)
            self._store.wait([f"turn/{self.group}/{step // self.turns.steps}"])
            now = time.perf_counter()
        self._last = now
        self._step += 1

    def _finish(self, store: TCPStore, turn: int) -> None:
        if self.rank == 0:
            store.set(f"times/{self.group}/{turn}", ",".join(map(str, self._times)))
        self._times = []


class TimedRecipe(ByteLMRecipe):
    """The decoder's recipe, with a clock in its criterion: the one place that every loop passes once a step."""

    def __init__(self, config: ByteLMConfig, turns: Turns, group: str) -> None:
        super().__init__(config)
        self._turns, self._group = turns, group
        self._clock: Clock | None = None

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """The decoder's criterion, after a tick."""
        if self._clock is None:
            import torch.distributed as dist

            self._clock = Clock(self._turns, self._group, dist.get_rank())
        self._clock.tick()
        return super().criterion(output, target)

    def loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The criterion of the model's output."""
        return self.criterion(model(batch["tokens"]), batch["targets"])
