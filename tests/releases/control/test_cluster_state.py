"""The age of what the controller knows of Serve's applications."""

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
    """Serve, as it is queries: how often; and what happens meanwhile."""

    def __init__(self) -> None:
        self.times = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> Applications:
        self.times += 1
        self.meanwhile()
        return Applications({f"m-v{self.times}-x": "RUNNING"}, {})


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Asked:
    queries = Asked()
    monkeypatch.setattr(world, "applications_now", queries)
    return queries


def seen(query_s: float = 5.0) -> ClusterState:
    def no_gateway() -> None:
        raise AssertionError("Serve must not be asked")

    return ClusterState(NoTables(), no_gateway, BackgroundTasks(lambda: None), query_s)  # type: ignore[arg-type]


async def test_serve_is_asked_again_when_the_answer_is_old_or_something_changed(queries: Asked) -> None:
    looked = seen()
    assert (await looked.observe(60)).apps("m") == {"1"}
    assert (await looked.observe(60)).apps("m") == {"1"}
    assert (await looked.observe()).apps("m") == {"2"}, "no age is accepted"
    looked.changed()
    assert (await looked.observe(60)).apps("m") == {"3"}
    assert queries.times == 3


async def test_an_answer_that_a_change_overtook_is_not_kept(queries: Asked) -> None:
    looked = seen()
    queries.meanwhile = looked.changed
    assert (await looked.observe(60)).apps("m") == {"1"}
    queries.meanwhile = lambda: None
    assert (await looked.observe(60)).apps("m") == {"2"}
    assert (await looked.observe(60)).apps("m") == {"2"}


async def test_a_serve_that_hangs_does_not_hold_up_observation(queries: Asked) -> None:
    looked = seen(query_s=0.05)
    assert (await looked.observe()).apps("m") == {"1"}
    hangs = threading.Event()
    queries.meanwhile = lambda: assert_set(hangs)
    assert (await looked.observe()).apps("m") == {"1"}, "what was seen last"
    assert (await looked.observe()).apps("m") == {"1"}
    assert queries.times == 2, "it is not asked again while it hangs"
    hangs.set()
    await eventually(lambda: looked._query is not None and looked._query.done())
    assert (await looked.observe()).apps("m") == {"3"}


async def test_without_an_answer_of_serve_observation_raises(queries: Asked) -> None:
    looked = seen(query_s=0.05)
    hangs = threading.Event()
    queries.meanwhile = lambda: assert_set(hangs)
    with pytest.raises(ServeUnavailableError, match=r"within 0\.05 s"):
        await looked.observe()
    hangs.set()


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)
