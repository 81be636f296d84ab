"""A key's text and document: what is made, what is kept, what is refused."""

from __future__ import annotations

import json
import re

import pytest

from app.web.keys.api_key import ApiKey, BadKeyError, Limit, Scope, decode, hash_key, id_in, mint, revoked


def test_the_text_holds_the_id_and_a_secret_that_is_not_kept() -> None:
    text, key = mint("mobile", [Scope.PREDICT], 1000, Limit(10, 20), lifetime_s=60)
    found = re.fullmatch(r"tg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", text)
    assert found is not None
    assert (key.id, key.hash, key.expires) == (found[1], hash_key(text), 1060)
    assert found[2].encode() not in key.encode()
    assert decode(key.encode()) == key
    assert mint("mobile", [Scope.PREDICT], 1000)[0] != text


def test_an_id_is_found_whatever_the_secret_holds() -> None:
    assert id_in("tg_0123456789ab_a_b-c_") == "0123456789ab"
    assert [id_in(text) for text in ("", "tg", "tg_0123", "xx_0123_secret", "bootstrap-key")] == [""] * 5


@pytest.mark.parametrize(
    ("held", "needed", "allowed"),
    [
        ({Scope.PREDICT}, Scope.PREDICT, True),
        ({Scope.PREDICT}, Scope.RELEASE, False),
        ({Scope.RELEASE}, Scope.PREDICT, False),
        ({Scope.PREDICT, Scope.RELEASE}, Scope.ADMIN, False),
        ({Scope.ADMIN}, Scope.PREDICT, True),
        ({Scope.ADMIN}, Scope.RELEASE, True),
    ],
)
def test_scopes_stand_for_themselves_but_for_admin(held: set[Scope], needed: Scope, allowed: bool) -> None:
    assert mint("x", held, 0)[1].allows(needed) is allowed


def test_a_key_is_in_force_until_it_expires_or_is_revoked() -> None:
    key = mint("x", [Scope.PREDICT], 1000, lifetime_s=10)[1]
    assert [key.in_force(at) for at in (1000, 1009.9, 1010)] == [True, True, False]
    gone = revoked(key, 1005)
    assert (gone.in_force(1000), gone.revoked) == (False, 1005)
    assert revoked(gone, 1007) == gone


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: mint(" ", [Scope.PREDICT], 0), "name ' '"),
        (lambda: mint("a\nb", [Scope.PREDICT], 0), "printable"),
        (lambda: mint("x", [], 0), "at least one scope of predict, release, admin"),
        (lambda: mint("x", [Scope.PREDICT], 0, lifetime_s=0), "a lifetime of 0 s"),
        (lambda: Limit(0, 1), "rate 0: accepted is"),
        (lambda: Limit(float("inf"), 1), "rate inf: accepted is"),
        (lambda: Limit(1, 0), "burst 0: accepted is"),
        (lambda: decode(b"{"), "not an API key"),
        (lambda: decode(b'{"id": "1"}'), "missing required field"),
    ],
)
def test_keys_that_cannot_be_made_are_refused(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(BadKeyError, match=sentence):
        make()


def test_a_document_with_an_impossible_limit_is_refused() -> None:
    document = mint("x", [Scope.PREDICT], 0, Limit(5, 7))[1].encode()
    with pytest.raises(BadKeyError, match="burst 0"):
        decode(document.replace(b'"burst":7', b'"burst":0'))
    assert isinstance(decode(document), ApiKey)


STORED = (
    b'{"created":7,"expires":null,"hash":"ab","id":"i","limit":null,"name":"shop","revoked":null,'
    b'"scopes":["predict"]}'
)


def test_a_document_of_an_earlier_version_is_read_and_written_as_it_was() -> None:
    assert decode(STORED).encode() == STORED
    assert decode(b'{"id":"i","name":"shop","hash":"ab","scopes":["predict"],"created":7}') == decode(STORED)


def test_fields_of_a_newer_version_outlive_a_revocation() -> None:
    newer = json.loads(STORED) | {"owner": {"team": "web"}}
    stored = json.loads(revoked(decode(json.dumps(newer).encode()), 9).encode())
    assert stored == newer | {"revoked": 9}


@pytest.mark.parametrize("change", [{"schema": 2}, {"scopes": ["later"]}], ids=["schema", "scope"])
def test_a_key_that_a_newer_version_restricts_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadKeyError):
        decode(json.dumps(json.loads(STORED) | change).encode())
