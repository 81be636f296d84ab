"""The view of the demo while it runs, on a terminal and in a log."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from app.terminal import LOG_EVERY_S, Progress
from jobs.run.progress import DemoProgress
from jobs.run.record import Record
from jobs.run.tally import Outcome, Tally
from jobs.run.view import Timeline, bar, level, release_view, weights_table
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
def test_bar_is_logarithmic(e: float, bound: float, drawn: str) -> None:
    assert bar(e, bound, width=4) == drawn


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "·"), (0.001, "▁"), (0.25, "▃"), (0.5, "▅"), (0.999, "█"), (1, "█")]
)
def test_share_is_one_character(share: float, drawn: str) -> None:
    assert level(share) == drawn


def test_weights_are_drawn_over_time() -> None:
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


def test_release_is_drawn_in_words_and_bars() -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(), waiting_for="3 s more", history=[ENTRY]))
    text = shown(release_view(record))
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


def test_reason_of_a_wait_is_drawn() -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("step", 5, 0.1, waiting_for="weights 0.1 in the table", waiting_because="Redis does not answer"))
    assert "waits for weights 0.1 in the table (Redis does not answer)" in shown(release_view(record))


def test_null_is_drawn_as_no_evidence() -> None:
    record = Record("shuffled", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(fail_e=None, rate_champion=None, n_champion=0)))
    assert "- of 40" in shown(release_view(record))


def test_log_gets_events_at_once_and_the_rest_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("app.terminal.time.monotonic", lambda: now)
    log = StringIO()
    progress, tally, timeline = DemoProgress(Progress(Console(file=log, width=120))), Tally(), Timeline()
    tally.begin({"2": 0.9, "3": 0.1}, 0.1)
    tally.add(Outcome("a", 0, 0.01, "2", 0.5, 0, ("3",)), tally.phase, None)
    progress.watch(tally, timeline, {"2": "online", "3": "strict"})
    record = Record("strict", "3", "rolled_back")
    record.see(state("step", 5, 0.1, judge=judge(), history=[ENTRY]))
    for _ in range(3):  # the same state again has nothing new
        progress.release(record)
        progress.draw()
    lines = log.getvalue().splitlines()
    assert lines == [
        "    12:00:05  step 0: version 3 at 10%",
        "    step 1 of 3",
        "    quality undecided, e 6.3 of 40 (challenger 12.00% of 120, champion 10.00% of 1080)",
        "    v2 online: set 90% observed 0.0% requests 1 p50 10 ms AUC nan",
        "    v3 strict: set 10% observed 100.0% requests 0 p50 nan ms AUC nan",
        "    fell over 1, failed 0",
    ]
    now += LOG_EVERY_S
    tally.failures.append("503: gone")
    progress.draw()
    assert log.getvalue().splitlines()[6:] == [*lines[1:5], "    fell over 1, failed 1"]
    record.see(state("rolled_back", 9, history=[ENTRY, ENTRY | {"what": "rolled back"}]))
    progress.release(record)
    assert log.getvalue().splitlines()[11:] == ["    12:00:05  rolled back"]


async def test_terminal_keeps_the_steps() -> None:
    screen = StringIO()
    progress = DemoProgress(Progress(Console(file=screen, width=120, force_terminal=True)))
    async with progress.drawn():
        with progress.step("POST /releases") as step:
            progress.say(step, "rolled back")
            progress.draw()
    assert "POST /releases" in screen.getvalue()
    assert "rolled back" in screen.getvalue()


async def test_lines_of_a_step_fit_a_log() -> None:
    log = StringIO()
    progress = DemoProgress(Progress(Console(file=log, width=120)))
    async with progress.drawn():
        with progress.step("POST /releases") as step:
            progress.say(step, "word " * 50)
    lines = log.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    assert log.getvalue().count("word") == 50
    assert lines[-1].startswith("✓ POST /releases  ")
