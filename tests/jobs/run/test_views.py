"""What the main job shows while it runs, on a terminal and elsewhere."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from jobs.run.progress import PLAIN_EVERY_S, Progress, weights_table
from jobs.run.record import Record
from jobs.run.release_view import bar, live, plain
from jobs.run.tally import Outcome, Tally
from jobs.run.timeline import Timeline, level
from tests.jobs.run.states import judge, state

ENTRY = {"at": "2026-11-23T12:00:05Z", "who": "controller", "what": "step 0: version 3 at 10%"}


def shown(what: RenderableType) -> str:
    console = Console(file=StringIO(), width=140)
    console.print(what)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("e", "bound", "drawn"),
    [
        (1.0, 20.0, "    "),
        (0.01, 20.0, "    "),  # evidence for the contrary
        (0.0, 20.0, "    "),
        (10.0, 100.0, "██  "),  # half of the way, on a logarithmic scale
        (10.0 ** (5 / 8), 100.0, "█▎  "),
        (100.0, 100.0, "████"),
        (1e300, 100.0, "████"),
    ],
)
def test_bars_are_logarithmic(e: float, bound: float, drawn: str) -> None:
    assert bar(e, bound, width=4) == drawn


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "·"), (0.001, "▁"), (0.25, "▃"), (0.5, "▅"), (0.999, "█"), (1, "█")]
)
def test_levels(share: float, drawn: str) -> None:
    assert level(share) == drawn


def test_weights_over_time() -> None:
    timeline = Timeline()
    timeline.add(100.0, {"1": 1.0})
    timeline.add(104.0, {"1": 0.5, "2": 0.5})
    timeline.add(105.0, {"1": 0.5, "2": 0.5})  # says nothing new
    timeline.add(106.0, {"2": 1.0})
    assert len(timeline.changes) == 3
    assert timeline.line("1", 108.0, 8) == "████▅▅··"
    assert timeline.line("2", 108.0, 8) == "····▅▅██"
    assert timeline.at(99.0) == {}
    table = shown(weights_table(timeline, {"1": "static", "2": "online"}, 108.0, 8))
    assert "weight over the last 8 s" in table
    assert "1 static" in table
    assert "····▅▅██" in table
    assert "100%" in table


def test_a_release_in_words_and_bars() -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(), waiting_for="3 s more", history=[ENTRY]))
    text = shown(live(record))
    for part in (
        "release of version 3 (shuffled): step 1 of 3, waits for 3 s more",
        "quality undecided",
        f"{bar(6.3, 40.0)} 6.3 of 40",
        "0.5 of 20",
        "12.00% of 120",
        "10.00% of 1080",
        "12:00:05  step 0: version 3 at 10%",
    ):
        assert part in text
    assert plain(record.state) == (
        "step 1 of 3 | quality undecided: 12.00% of 120 against 10.00% of 1080, e fail 6.3 of 40, pass 0.5 of 20"
    )


def test_numbers_that_json_cannot_say_are_drawn_as_nothing() -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(fail_e=None, rate_champion=None, n_champion=0)))
    assert "- of 40" in shown(live(record))


def test_plain_lines_when_something_happens_and_each_few_seconds_else(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("jobs.run.progress.time.monotonic", lambda: now)
    console = Console(file=StringIO(), width=200)
    progress, tally, timeline = Progress(console), Tally(), Timeline()
    assert isinstance(console.file, StringIO)
    tally.begin({"2": 0.9, "3": 0.1}, 0.1)
    tally.add(Outcome("a", 0, 0.01, "2", 0.5, 0, ("3",)), tally.phase, None)
    progress.watch(tally, timeline, {"2": "online", "3": "strict"})
    record = Record("strict", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(), history=[ENTRY]))
    for _ in range(3):  # the same state again says nothing new
        progress.release(record)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == "    12:00:05  step 0: version 3 at 10%"
    assert lines[1].startswith("    step 1 of 3 | quality undecided: 12.00% of 120 against")
    assert lines[2].endswith("| fell over 1, failed 0")
    now += PLAIN_EVERY_S
    progress.traffic_moved()
    assert len(console.file.getvalue().splitlines()) == 5
    record.see(state("rolled_back", 9, history=[ENTRY, ENTRY | {"what": "rolled back"}]))
    progress.release(record)
    assert console.file.getvalue().splitlines()[5:] == ["    12:00:05  rolled back"]


async def test_a_terminal_keeps_the_steps_and_draws_the_rest_below() -> None:
    console = Console(file=StringIO(), width=120, force_terminal=True)
    progress = Progress(console)
    assert isinstance(console.file, StringIO)
    async with progress.shown():
        with progress.step("POST /releases") as step:
            progress.say(step, "rolled back")
    assert "POST /releases" in console.file.getvalue()
    assert "rolled back" in console.file.getvalue()
