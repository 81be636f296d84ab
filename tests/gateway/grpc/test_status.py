"""Every error of the gateway has its gRPC status."""

from __future__ import annotations

from collections.abc import Iterator

from grpc import StatusCode

from app.gateway.grpc.status import STATUS, sentence, status_of
from app.web import errors
from app.web.errors import GatewayError, InputError


def tree(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    if kind.__module__ == errors.__name__:
        yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_the_table_holds_the_whole_tree() -> None:
    assert set(STATUS) == set(tree(GatewayError))


def test_what_is_the_callers_own_mistake_is_so_over_both_protocols() -> None:
    theirs = {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.UNAUTHENTICATED,
        StatusCode.PERMISSION_DENIED,
        StatusCode.NOT_FOUND,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.RESOURCE_EXHAUSTED,
    }
    for kind, status in STATUS.items():
        assert (status in theirs) == (kind.status < 500), kind


def test_an_error_without_a_row_has_its_parents() -> None:
    class NewError(InputError):
        """One that somebody adds elsewhere."""

    assert status_of(NewError("x")) == StatusCode.INVALID_ARGUMENT


def test_a_long_sentence_fits_in_a_trailer() -> None:
    assert sentence(GatewayError("short: ü")) == "short: ü"
    cut = sentence(GatewayError("ü" * 5000))
    assert cut.endswith("ü …")
    assert 3 * len(cut.encode()) < 4096
