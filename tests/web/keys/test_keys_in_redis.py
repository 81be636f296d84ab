"""Keys in a real Valkey: the command that makes and revokes them, and the watch of a gateway replica."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.redis_client import connect
from app.settings import RedisSettings, get_settings
from app.web.keys import Authenticator, KeyStore, KeyWatch, Limit, Scope, mint
from app.web.keys.key_store import KEYS
from jobs.cli import main
from tests.support.eventually import eventually

QUICK = 0.1


@pytest.fixture
async def watch(valkey: RedisSettings, redis: Redis) -> AsyncIterator[KeyWatch]:
    found = KeyWatch(connect(valkey), QUICK)
    found.start()
    await found.first_read()
    yield found
    await found.stop()


async def test_a_new_key_is_accepted_and_a_revoked_one_refused(redis: Redis, watch: KeyWatch) -> None:
    store = KeyStore(redis)
    authenticator = Authenticator(watch.keys, lambda: watch.age_s is not None, None)
    text, key = mint("mobile", [Scope.PREDICT], 1000, Limit(10, 20))
    await store.add(key)
    await eventually(lambda: watch.keys.get(key.id) == key)
    assert authenticator.authenticate(f"Bearer {text}", Scope.PREDICT).limit == Limit(10, 20)
    gone = await store.revoke(key, 2000)
    assert await store.revoke(gone, 3000) == gone
    await eventually(lambda: watch.keys[key.id].revoked == 2000)
    assert await store.read_all() == [gone]


async def test_an_unpublished_key_is_found_too(redis: Redis, watch: KeyWatch) -> None:
    key = mint("silent", [Scope.PREDICT], 1000)[1]
    await redis.hset(KEYS, key.id, key.encode())
    await eventually(lambda: watch.keys.get(key.id) == key)


async def test_an_unreadable_document_is_left_out_and_the_other_keys_are_kept(redis: Redis, watch: KeyWatch) -> None:
    good, other = mint("good", [Scope.PREDICT], 1000)[1], mint("other", [Scope.ADMIN], 1000)[1]
    await redis.hset(KEYS, mapping={"broken": b"{not a key", "000000000000": other.encode()})
    await KeyStore(redis).add(good)
    await eventually(lambda: good.id in watch.keys)
    assert set(watch.keys) == {good.id}


async def test_known_keys_stay_while_redis_is_away_or_empty(
    redis: Redis, watch: KeyWatch, valkey_pid: Callable[[], int]
) -> None:
    store = KeyStore(redis)
    key, gone = mint("kept", [Scope.PREDICT], 1000)[1], mint("gone", [Scope.PREDICT], 1000)[1]
    await store.add(key)
    await store.add(gone)
    await store.revoke(gone, 2000)
    await eventually(lambda: key.id in watch.keys and gone.id in watch.keys and watch.keys[gone.id].revoked == 2000)
    os.kill(valkey_pid(), signal.SIGSTOP)
    try:
        with pytest.raises(RedisError):
            await store.read_all()
        assert watch.keys[key.id] == key
    finally:
        os.kill(valkey_pid(), signal.SIGKILL)  # ends a stopped process too; the supervisor starts another

    async def restored() -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    await redis.flushdb()
                    await store.add(gone)  # as a snapshot from before the revocation would have it
                    return
                except RedisError:
                    await asyncio.sleep(0.05)

    await restored()
    await watch.refresh()
    assert watch.keys[key.id] == key
    assert watch.keys[gone.id].revoked == 2000


@pytest.fixture
def beside(valkey: RedisSettings, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a command beside the emptied server."""
    assert valkey.password is not None
    monkeypatch.setenv("TIDEGATE_REDIS_URL", valkey.url)
    monkeypatch.setenv("TIDEGATE_REDIS_PASSWORD", valkey.password.get_secret_value())
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["keys", *arguments])


async def test_key_is_created_listed_shown_and_revoked(
    beside: None, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    create = ["create", "--name", "mobile", "--scope", "predict", "--scope", "release", "--rate", "2.5"]
    assert await run(*create, "--expires", "30d") == 0
    printed = capsys.readouterr()
    text = printed.out.strip()
    assert "mobile" in printed.err
    [key] = await KeyStore(redis).read_all()
    assert (key.scopes, key.limit) == (frozenset({Scope.PREDICT, Scope.RELEASE}), Limit(2.5, 3))
    assert key.expires == key.created + 30 * 86_400
    assert (
        Authenticator({key.id: key}, lambda: True, None).authenticate(f"Bearer {text}", Scope.RELEASE).name
        == "mobile"
    )

    assert await run("list") == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split()[:6] == ["mobile", key.id, "predict,", "release", "2.5", "3"]
    assert await run("list", "--json") == 0
    listed = capsys.readouterr().out
    assert json.loads(listed)[0]["state"] == "in force"
    assert key.hash not in listed
    assert await run("show", key.id) == 0
    assert json.loads(capsys.readouterr().out)["scopes"] == ["predict", "release"]

    assert await run("revoke", "mobile") == 0
    assert f"key {key.id} (mobile) is revoked" in capsys.readouterr().out
    assert await run("revoke", key.id) == 0
    assert "was revoked already" in capsys.readouterr().out


async def test_name_of_two_keys_means_the_one_in_force(
    beside: None, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    store = KeyStore(redis)
    first, second = (mint("web", [Scope.PREDICT], at)[1] for at in (1000, 2000))
    await store.add(first)
    await store.add(second)
    assert await run("revoke", "web") == 1
    assert f"2 keys are named 'web'; say which: {first.id}, {second.id}" in capsys.readouterr().err
    assert await run("revoke", first.id) == 0
    assert await run("revoke", "web") == 0
    assert all(key.revoked for key in await store.read_all())


async def test_unknown_key_and_empty_name_are_refused(beside: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("revoke", "stranger") == 1
    assert "no key has the id or name 'stranger'" in capsys.readouterr().err
    assert await run("create", "--name", " ", "--scope", "predict") == 1
    assert "name ' '" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "--name", "x"], "Missing option '--scope'"),
        (["create", "--name", "x", "--scope", "root"], "root"),
        (["create", "--name", "x", "--scope", "predict", "--burst", "2"], "--burst needs --rate"),
        (["create", "--name", "x", "--scope", "predict", "--rate", "0"], "'0': accepted is a number above 0"),
        (
            ["create", "--name", "x", "--scope", "predict", "--rate", "1", "--burst", "0"],
            "'0': accepted is a whole number from 1",
        ),
        (["create", "--name", "x", "--scope", "predict", "--expires", "soon"], "such as 30d"),
        ([], "Missing command"),
    ],
)
def test_wrong_command_line_ends_with_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_redis_that_does_not_answer_is_a_sentence() -> None:
    environ = {**os.environ, "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "keys", "list"], env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Redis at TIDEGATE_REDIS_URL does not answer: ")
