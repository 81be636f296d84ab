"""What the controller knows of Serve's applications, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.releases.control import cluster_state as world
from app.releases.control.background_tasks import BackgroundTasks
from app.releases.control.cluster_state import Applications, ClusterState, ServeUnavailableError
from tests.support.eventually import eventually


class NoTables:
    async def read_all(self) -> dict[str, object]:
        return {}


class Asked:
    """Serve, as it is asked: how often; and what happens meanwhile."""

    def __init__(self) -> None:
        self.times = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> Applications:
        self.times += 1
        self.meanwhile()
        return Applications({f"m-v{self.times}-x": "RUNNING"}, {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(world, "applications_now", asked)
    return asked


def seen(query_s: float = 5.0) -> ClusterState:
    def no_gateway() -> None:
        raise AssertionError("nobody is to be asked")

    return ClusterState(NoTables(), no_gateway, BackgroundTasks(lambda: None), query_s)  # type: ignore[arg-type]


async def test_it_is_asked_for_when_it_is_too_old_or_something_was_done(asked: Asked) -> None:
    looked = seen()
    assert (await looked.observe(60)).apps("m") == {"1"}
    assert (await looked.observe(60)).apps("m") == {"1"}
    assert (await looked.observe()).apps("m") == {"2"}, "no age is accepted"
    looked.changed()
    assert (await looked.observe(60)).apps("m") == {"3"}
    assert asked.times == 3


async def test_an_answer_that_a_change_overtook_is_not_kept(asked: Asked) -> None:
    looked = seen()
    asked.meanwhile = looked.changed
    assert (await looked.observe(60)).apps("m") == {"1"}
    asked.meanwhile = lambda: None
    assert (await looked.observe(60)).apps("m") == {"2"}
    assert (await looked.observe(60)).apps("m") == {"2"}


async def test_a_serve_that_hangs_holds_nobody_up(asked: Asked) -> None:
    looked = seen(query_s=0.05)
    assert (await looked.observe()).apps("m") == {"1"}
    hangs = threading.Event()
    asked.meanwhile = lambda: assert_set(hangs)
    assert (await looked.observe()).apps("m") == {"1"}, "what was seen last"
    assert (await looked.observe()).apps("m") == {"1"}
    assert asked.times == 2, "nobody asks again while it hangs"
    hangs.set()
    await eventually(lambda: looked._query is not None and looked._query.done())
    assert (await looked.observe()).apps("m") == {"3"}


async def test_a_serve_that_never_answered_is_no_empty_one(asked: Asked) -> None:
    looked = seen(query_s=0.05)
    hangs = threading.Event()
    asked.meanwhile = lambda: assert_set(hangs)
    with pytest.raises(ServeUnavailableError, match=r"within 0\.05 s"):
        await looked.observe()
    hangs.set()


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)
