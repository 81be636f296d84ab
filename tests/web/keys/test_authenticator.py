"""Callers that are authenticated, and the refusals that the others get."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from app.errors import PermissionDeniedError, TidegateError, UnauthenticatedError, UnavailableError
from app.web.keys import ApiKey, Authenticator, Caller, Limit, Scope, hash_key, mint
from app.web.keys.api_key import revoked
from app.web.keys.authenticator import ADMIN, ANONYMOUS

NOW = 1_000_000
BOOTSTRAP = "a-key-of-the-settings"
TEXT, KEY = mint("mobile", [Scope.PREDICT], NOW, Limit(10, 20))
OLD_TEXT, OLD = mint("old", [Scope.PREDICT], NOW - 100, lifetime_s=100)
GONE_TEXT, GONE = mint("gone", [Scope.PREDICT], NOW)
ALL_TEXT, ALL = mint("ops", [Scope.ADMIN], NOW)
KEYS = {key.id: key for key in (KEY, OLD, revoked(GONE, NOW), ALL)}


def authenticator(
    keys: dict[str, ApiKey] = KEYS, *, read: bool = True, anonymous: tuple[Scope, ...] = ()
) -> Authenticator:
    return Authenticator(keys, lambda: read, hash_key(BOOTSTRAP), frozenset(anonymous), clock=lambda: NOW)


def _no_key(value: object) -> str | None:
    """Keys are made anew in every process; the names of the tests must not differ between them."""
    return "authorization" if isinstance(value, str) and "tg_" in value else None


@pytest.mark.parametrize(
    ("authorization", "scope", "caller"),
    [
        (f"Bearer {TEXT}", Scope.PREDICT, Caller("mobile", KEY.id, Limit(10, 20))),
        (f"bearer  {TEXT} ", Scope.PREDICT, Caller("mobile", KEY.id, Limit(10, 20))),
        (f"Bearer {ALL_TEXT}", Scope.RELEASE, Caller("ops", ALL.id)),
        (f"Bearer {BOOTSTRAP}", Scope.ADMIN, ADMIN),
        (f"Bearer {BOOTSTRAP}", Scope.PREDICT, ADMIN),
    ],
    ids=_no_key,
)
def test_a_key_in_force_with_the_scope_is_authenticated(authorization: str, scope: Scope, caller: Caller) -> None:
    assert authenticator().authenticate(authorization, scope) == caller


@pytest.mark.parametrize(
    ("authorization", "scope", "status", "sentence"),
    [
        (None, Scope.PREDICT, 401, "needs a key with the scope predict, as 'Authorization: Bearer KEY'"),
        ("", Scope.PREDICT, 401, "scope predict"),
        ("Bearer ", Scope.PREDICT, 401, "scope predict"),
        (TEXT, Scope.PREDICT, 401, "scope predict"),
        ("Basic abc", Scope.ADMIN, 401, "scope admin"),
        ("Bearer wrong", Scope.ADMIN, 401, "not known here; this needs a key with the scope admin"),
        (f"Bearer {TEXT[:-1]}", Scope.PREDICT, 401, "not known here"),
        (f"Bearer tg_{KEY.id}_{'x' * 43}", Scope.PREDICT, 401, "not known here"),
        (f"Bearer {'x' * 2000}", Scope.PREDICT, 401, "scope predict"),
        ("Bearer \xff\xfe", Scope.PREDICT, 401, "not known here"),
        (f"Bearer {OLD_TEXT}", Scope.PREDICT, 401, "'old' expired at 1970-01-12 13:46:40"),
        (f"Bearer {GONE_TEXT}", Scope.PREDICT, 401, "'gone' was revoked at"),
        (f"Bearer {TEXT}", Scope.RELEASE, 403, "needs the scope release; the key 'mobile' has predict"),
    ],
    ids=_no_key,
)
def test_callers_without_a_valid_key_are_refused_with_a_sentence(
    authorization: str | None, scope: Scope, status: int, sentence: str
) -> None:
    with pytest.raises(TidegateError, match=sentence) as refused:
        authenticator().authenticate(authorization, scope)
    assert refused.value.status == status
    challenge = refused.value.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="tidegate"')
    assert ('error="insufficient_scope", scope="release"' in challenge) is (status == 403)


def test_a_stored_hash_is_no_key() -> None:
    for text in (KEY.hash, "0" * 64, f"tg_{KEY.id}_{KEY.hash}"):
        with pytest.raises(UnauthenticatedError):
            authenticator().authenticate(f"Bearer {text}", Scope.PREDICT)


def test_an_unknown_id_is_as_much_work_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def compare(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for id_ in (KEY.id, "f" * 12):
        with pytest.raises(UnauthenticatedError):
            authenticator().authenticate(f"Bearer tg_{id_}_{'x' * 43}", Scope.PREDICT)
    assert [len(b) for _, b in compared] == [64] * 4


def test_anonymous_callers_have_their_scopes_and_a_sent_key_is_checked_all_the_same() -> None:
    open_door = authenticator(anonymous=(Scope.PREDICT,))
    assert open_door.authenticate(None, Scope.PREDICT) == ANONYMOUS
    for authorization, scope in ((None, Scope.RELEASE), ("Bearer wrong", Scope.PREDICT)):
        with pytest.raises(UnauthenticatedError):
            open_door.authenticate(authorization, scope)
    assert open_door.authenticate(f"Bearer {TEXT}", Scope.PREDICT).key_id == KEY.id


def test_before_keys_are_read_an_unknown_key_is_unavailable() -> None:
    blind = authenticator({}, read=False)
    with pytest.raises(UnavailableError, match="keys have not been read yet"):
        blind.authenticate(f"Bearer {TEXT}", Scope.PREDICT)
    assert blind.authenticate(f"Bearer {BOOTSTRAP}", Scope.ADMIN) == ADMIN
    with pytest.raises(UnauthenticatedError):
        blind.authenticate(None, Scope.PREDICT)


def test_without_an_admin_key_hash_no_key_is_admin() -> None:
    closed = Authenticator({}, lambda: True, None)
    with pytest.raises(UnauthenticatedError):
        closed.authenticate("Bearer " + "0" * 64, Scope.ADMIN)


def test_a_revoked_key_is_refused_at_once() -> None:
    keys = {KEY.id: KEY}
    watched = authenticator(keys)
    assert watched.authenticate(f"Bearer {TEXT}", Scope.PREDICT).name == "mobile"
    keys[KEY.id] = revoked(KEY, NOW)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        watched.authenticate(f"Bearer {TEXT}", Scope.PREDICT)


def test_a_missing_scope_is_permission_denied() -> None:
    with pytest.raises(PermissionDeniedError) as refused:
        authenticator().authenticate(f"Bearer {TEXT}", Scope.ADMIN)
    assert refused.value.scope == "admin"
