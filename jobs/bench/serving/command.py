"""Cost of an answer, beside other servers on the same model, in one run.

A V2 JSON request with one row of four numbers, an API key and a sticky key; CPU milliseconds per request summed over
all processes of a server (its idle, measured just before, taken off), latency and requests per second. The gateway
runs in a local stack of its own in a temporary folder, with versions in replicas of their own, one inline, one whose
answers are kept and one whose inputs are looked up; beside it bare Ray Serve with and without HAProxy, FastAPI on
uvicorn, and with --peers MLServer and KServe in environments that pip makes under ~/.cache/tidegate/peers. First of
all the memory of the gateway's replicas over many requests.

Exit code: 0 when every target that was measured is reached and no request failed, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.errors import InvalidArgumentError
from app.terminal import Progress
from jobs.bench.children import ServerError
from jobs.bench.environments import Environment
from jobs.bench.harness import Report, benchmark
from jobs.bench.serving import tables
from jobs.bench.serving.load import Order
from jobs.bench.serving.measure import Arm, Cell, measure_arm
from jobs.bench.serving.memory import Sample, watch
from jobs.bench.serving.systems import PlainServe, System, Tidegate, kserve, mlserver, uvicorn
from jobs.bench.serving.verdicts import rows, verdicts
from jobs.cli.options import positive_number, whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS = 10.0
MLSERVER = Environment("mlserver==1.7.1")
KSERVE = Environment("kserve==0.21.0")
PACKAGES = ("ray", "mlflow", "fastapi", "uvicorn", "uvloop", "numpy")
MEMORY_CONNECTIONS = 64

Say = Callable[[str], None]


class Part(StrEnum):
    """An arm, or several that share a server; or the memory of the gateway's replicas."""

    DEDICATED = "dedicated"
    INLINE = "inline"
    CACHE = "cache"
    FEATURES = "features"
    SERVE = "serve"
    UVICORN = "uvicorn"
    SERVE_PLAIN = "serve-plain"
    MEMORY = "memory"


@dataclass
class Figures:
    """Figures of the run, filled while it measures.

    Attributes:
        refused: server -> why it has no figures, or not all.
        failed: requests of the memory part that failed.
    """

    cells: list[Cell] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """The servers, the load and the ports."""

    only: Annotated[list[Part], typer.Option(help="What to measure.")] = field(default_factory=lambda: list(Part))
    peers: Annotated[
        bool, typer.Option("--peers", help="MLServer and KServe, too; the first time pip makes them.")
    ] = False
    connections: Annotated[list[int], typer.Option(parser=whole_number, metavar="N", help="At once.")] = field(
        default_factory=lambda: [1, 16, 64]
    )
    rounds: Annotated[
        int, typer.Option(parser=whole_number, metavar="N", help="Turns of each arm; medians count.")
    ] = 3
    seconds: Annotated[
        float | None, typer.Option(parser=positive_number, metavar="S", help="Of load in a turn (default: 10).")
    ] = None
    requests: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="In a turn, instead of seconds.")
    ] = None
    idle: Annotated[
        float, typer.Option(parser=positive_number, metavar="S", help="Seconds of idling before a turn.")
    ] = 3.0
    memory_requests: Annotated[
        int, typer.Option(parser=whole_number, metavar="N", help="Requests over which memory is watched.")
    ] = 200_000
    port_offset: Annotated[int, typer.Option(metavar="N", help="Of the stack's ports.")] = 1300
    replicas_port: Annotated[int, typer.Option(metavar="PORT", help="First of its replicas' 2000 ports.")] = 28_000


def measure(options: Options, console: Console) -> Report:
    """Measure every server that is asked for."""
    if options.seconds and options.requests:
        raise InvalidArgumentError("--seconds and --requests: one of them is accepted")
    found = Figures()
    with Progress(console, every_s=0.0) as progress, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        _run(options, Path(scratch), found, progress.show)
    summary = rows(found.cells)
    judged = list(verdicts(summary, found.memory))

    def draw() -> Figure:
        from jobs.bench.serving.plot import draw as draw_figure  # takes a second to import

        return draw_figure(summary, found.memory)

    broken = [
        f"{each.name}: {each.found:.2f} {each.unit}, at most {each.at_most:.2f}" for each in judged if not each.is_met
    ]
    broken += [f"{name} has no figures, or not all: {why}" for name, why in found.refused.items()]
    if failed := found.failed + sum(row.failed for row in summary):
        broken.append(f"{failed} requests failed")
    return Report(
        [tables.results(summary)] * bool(summary) + [tables.targets(judged)] * bool(judged),
        {
            "rows": [asdict(row) for row in summary],
            "verdicts": [{**asdict(each), "holds": each.is_met} for each in judged],
            "cells": [asdict(cell) for cell in found.cells],
            "memory": [asdict(sample) for sample in found.memory],
            "refused": found.refused,
            "versions": _versions(options.peers, found),
        },
        broken,
        draw if summary or found.memory else None,
    )


def _run(options: Options, scratch: Path, found: Figures, say: Say) -> None:
    """Each list of systems is alive together and takes turns; of Ray clusters only one lives at a time."""
    wanted = frozenset(options.only)
    ports = ("--port-offset", str(options.port_offset), "--replicas-port", str(options.replicas_port))
    if "memory" in wanted:
        with ExitStack() as living:
            for arm in _started([Tidegate(ports, frozenset({"dedicated"}))], living, scratch / "memory", found, say):
                _watch(arm, options, found, say)
    together: list[System] = []
    if stack := wanted & {"dedicated", "inline", "cache", "features", "serve"}:
        together.append(Tidegate(ports, stack))
    if "uvicorn" in wanted:
        together.append(uvicorn())
    if options.peers:
        together += _peers(found, say)
    alone: list[System] = [PlainServe(ports, 8000 + options.port_offset)] if "serve-plain" in wanted else []
    for number, systems in enumerate((together, alone)):
        with ExitStack() as living:
            arms = list(_started(systems, living, scratch / str(number), found, say))
            _take_turns(arms, options, found, say)


def _started(systems: Sequence[System], living: ExitStack, folder: Path, found: Figures, say: Say) -> Iterator[Arm]:
    for system in systems:
        own = folder / system.name.replace(" ", "-")
        own.mkdir(parents=True)
        try:
            arms = system.start(own, say)
        except ServerError as error:
            found.refused[system.name] = str(error)
            say(f"{system.name}: {error}")
            continue
        living.callback(system.stop)
        yield from arms


def _peers(found: Figures, say: Say) -> Iterator[System]:
    for environment, server in ((MLSERVER, mlserver), (KSERVE, kserve)):
        try:
            environment.make(say)
        except ServerError as error:
            found.refused[environment.requirement] = str(error)
        else:
            yield server(environment)


def _take_turns(arms: list[Arm], options: Options, found: Figures, say: Say) -> None:
    order = Order(requests=options.requests, seconds=None if options.requests else options.seconds or SECONDS)
    for turn in range(options.rounds):
        for connections in options.connections:
            for arm in list(arms):
                say(f"round {turn + 1} of {options.rounds}: {arm.name} at {connections} connections")
                try:
                    cell = measure_arm(arm, connections, turn, order, options.idle)
                except ServerError as error:
                    found.refused[arm.name] = str(error)
                    arms.remove(arm)
                else:
                    found.cells.append(cell)
                    say(f"  {cell.cpu_ms:.2f} CPU-ms, {cell.requests_per_s:,.0f} requests/s, {cell.failed} failed")


def _watch(arm: Arm, options: Options, found: Figures, say: Say) -> None:
    every = max(options.memory_requests // 20, 1)
    try:
        found.memory, found.failed = watch(arm, MEMORY_CONNECTIONS, options.memory_requests, every, say)
    except ServerError as error:
        found.refused["memory"] = str(error)


def _versions(peers: bool, found: Figures) -> dict[str, dict[str, str]]:
    ours = {name: version(name) for name in PACKAGES}
    made = (each for each in (MLSERVER, KSERVE) if peers and each.requirement not in found.refused)
    return {"here": ours} | {each.requirement: each.versions() for each in made}


app = benchmark(Options, measure)
