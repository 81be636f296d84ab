"""``tidegate release`` against scripted answers of the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.releases.api.release_body import audit_body, release_body
from app.releases.control.release_store import AuditEntry
from app.releases.lifecycle.phases import with_history
from app.releases.model.release import Release
from app.settings import GatewaySettings
from jobs.cli import main
from jobs.cli import release as job
from jobs.release.client import ReleaseError, Releases
from jobs.release.states import release_states
from tests.releases.documents import release

SSE = {"content-type": "text/event-stream"}
SETTINGS = GatewaySettings(admin_key=SecretStr("key"))
GUARD = {
    "name": "errors",
    "verdict": "undecided",
    "fail_e": 1.25,
    "pass_e": 0.5,
    "bound": 20.0,
    "n_challenger": 120,
    "n_champion": 1080,
    "rate_challenger": 0.025,
    "rate_champion": None,
}


def body(held: Release) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(release_body(held).model_dump_json())
    return found


def event(held: Release, id_: str) -> bytes:
    return f"event: release\nid: {id_}\ndata: {json.dumps(body(held))}\n\n".encode()


class Breaks(httpx.SyncByteStream):
    """A stream of events that breaks off."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        raise httpx.ReadError("the connection was reset")


class Script:
    """Answers requests in the order in which they come."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.left = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def releases(self, leader_wait_s: float = 5) -> Releases:
        return Releases(SETTINGS, httpx.MockTransport(self), leader_wait_s)


AT_FIRST = with_history(release(), 0.0, "ci", "begun")
AT_WORK = with_history(
    AT_FIRST.model_copy(
        update={
            "phase": "step",
            "report": {"guards": (GUARD,)},
            "waiting_for": "2 replicas",
            "waiting_because": "0 of 2 run",
        }
    ),
    1.0,
    "controller",
    "step 0: version 2 at 10%",
)


def ended(phase: str, reason: str = "") -> Release:
    return with_history(
        AT_WORK.model_copy(update={"phase": phase, "reason": reason}), 2.0, "controller", f"{phase} at last"
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Script]]:
    """Run the command against answers; its exit code."""
    monkeypatch.setattr("jobs.release.follow.release_states", partial(release_states, retry_s=0.0))

    def call(arguments: str, *answers: httpx.Response | Exception) -> tuple[int, Script]:
        script = Script(*answers)
        monkeypatch.setattr(job, "Releases", lambda _: script.releases())
        code = main(["release", *arguments.split()])
        assert not script.left
        return code, script

    return call


Run = Callable[..., tuple[int, Script]]


@pytest.mark.parametrize(
    ("phase", "reason", "code"),
    [("promoted", "", 0), ("rolled_back", "errors: too many", 3), ("cancelled", "ordered", 4)],
)
def test_release_is_followed_to_its_end_through_lost_connections(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, phase: str, reason: str, code: int
) -> None:
    last = ended(phase, reason)
    found, script = run(
        f"--model flights --version 2 --plan canary --follow --json {tmp_path / 'end.json'}",
        httpx.Response(201, json=body(AT_FIRST)),
        httpx.Response(200, headers=SSE, stream=Breaks(b"retry: 1000\n\n", event(AT_FIRST, "a"))),
        httpx.ConnectError("refused"),
        httpx.Response(404, text="Path '/releases/r1/events' not found. Ping http://.../-/routes"),
        httpx.Response(503, json={"error": "64 callers follow releases here already"}),
        httpx.Response(200, headers=SSE, stream=Breaks(event(AT_WORK, "b"), b": still there\n\n")),
        httpx.Response(200, headers=SSE, content=event(last, "c")),
    )
    assert found == code
    begun = json.loads(script.requests[0].content)
    assert (begun["model"], begun["version"], begun["plan"]["strategy"]) == ("flights", "2", "canary")
    assert {request.headers["authorization"] for request in script.requests} == {"Bearer key"}
    assert [request.headers.get("last-event-id") for request in script.requests[1:]] == [None, *"aaaab"][:6]
    out = capsys.readouterr().out
    assert [out.count(what) for what in ("begun", "step 0: version 2 at 10%", f"{phase} at last")] == [1, 1, 1]
    assert out.rstrip().endswith(phase.replace("_", " ") + (f": {reason}" if reason else ""))
    assert json.loads((tmp_path / "end.json").read_text())["state"] == phase


def test_show_prints_weights_judge_and_what_is_waited_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = run("show r1", httpx.Response(200, json=body(AT_WORK)))
    assert code == 0
    out = capsys.readouterr().out
    assert "release r1: version 2 of flights against version 1, canary" in out
    assert "\nstep 1 of 2 | v1 90% v2 10%\nwaits for 2 replicas (0 of 2 run)\n" in out
    assert "\nerrors undecided, e 1.2 of 20 (challenger 2.50% of 120, champion - of 1080)\n" in out


def test_list_and_audit_print_tables(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, script = run("list --model flights --count 5", httpx.Response(200, json=[body(ended("promoted"))]))
    assert code == 0
    assert dict(script.requests[0].url.params) == {"model": "flights", "count": "5"}
    assert "r1  flights  2           1         canary    promoted  1970-01-01 00:00:00" in capsys.readouterr().out
    entry = AuditEntry(61.5, "ci", "flights", "r1", "gate [0] opened", "step 0", "step 1")
    code, _ = run("audit", httpx.Response(200, json=[json.loads(audit_body(entry).model_dump_json())]))
    assert code == 0
    assert "1970-01-01 00:01:01  ci   flights  r1       step 0  step 1  gate [0] opened" in capsys.readouterr().out


def test_order_is_repeated_until_a_controller_leads(run: Run) -> None:
    busy = httpx.Response(503, json={"error": "this controller does not decide now"}, headers={"retry-after": "0"})
    code, script = run("promote r1 --full", busy, httpx.Response(200, json=body(AT_WORK)))
    assert code == 0
    assert [str(request.url) for request in script.requests] == [
        "http://127.0.0.1:8000/releases/r1/promote?full=true"
    ] * 2


@pytest.mark.parametrize(
    ("arguments", "answer", "sentence"),
    [
        (
            "rollback r1",
            httpx.Response(409, json={"error": "it has ended"}),
            "/releases/r1/rollback: 409 it has ended",
        ),
        ("list", httpx.Response(401, json={"error": "no key"}), "GET /releases: 401 no key"),
        ("show r1", httpx.ConnectError("refused"), "GET http://127.0.0.1:8000/releases/r1: refused"),
        ("audit", httpx.Response(500, text="Internal Server Error"), "500 Internal Server Error"),
    ],
)
def test_refusal_ends_with_1(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    answer: httpx.Response | Exception,
    sentence: str,
) -> None:
    assert run(arguments, answer)[0] == 1
    assert sentence in capsys.readouterr().err


def test_unknown_release_is_not_followed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = httpx.Response(404, json={"error": "there is no release 'r1'"})
    code, _ = run("show r1 --follow", httpx.Response(200, json=body(AT_FIRST)), unknown)
    assert code == 1
    assert "release r1 cannot be followed: 404 there is no release 'r1'" in capsys.readouterr().err


def test_following_is_given_up_without_a_sign_of_life() -> None:
    script = Script(*[httpx.ConnectError("refused")] * 3)
    lost: list[str] = []
    with pytest.raises(ReleaseError, match=r"no sign of life for 0 s \(refused\); it goes on by itself"):
        list(release_states(script.releases(), "r1", lost.append, reconnect_s=0.0, retry_s=0.0))
    assert len(script.left) == 2


def test_ended_release_ends_the_following(run: Run) -> None:
    end = ended("promoted")
    code, _ = run("show r1 --follow", *[httpx.Response(200, json=body(end))], httpx.Response(204), _read(end))
    assert code == 0


def _read(held: Release) -> httpx.Response:
    return httpx.Response(200, json=body(held))


def test_ctrl_c_leaves_the_release_alone(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("jobs.release.follow.release_states", interrupted)
    code, script = run("show r1 --follow", httpx.Response(200, json=body(AT_FIRST)))
    assert code == 130
    assert [request.method for request in script.requests] == ["GET"]
    assert "release r1 goes on: tidegate release show r1 --follow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing command"),
        (["begin", "--model", "flights"], "Missing option '--version'"),
        (["list", "--count", "0"], "greater than or equal to 1"),
        (["--model", "m", "--version", "1", "--plan", "absent"], "--plan absent: no such file; shipped are ab, "),
    ],
)
def test_wrong_command_line_ends_with_2(arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.release", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
