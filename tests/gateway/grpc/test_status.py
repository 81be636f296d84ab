"""The gRPC status of an error, and its sentence as a trailer carries it."""

from __future__ import annotations

from grpc import StatusCode

from app.errors import InvalidArgumentError, TidegateError
from app.gateway.grpc.status import sentence, status_of


def test_a_derived_error_has_its_parents_status() -> None:
    class NewError(InvalidArgumentError):
        """One that is added elsewhere."""

    assert status_of(NewError("x")) == StatusCode.INVALID_ARGUMENT


def test_a_long_sentence_is_cut_to_fit_a_trailer() -> None:
    assert sentence(TidegateError("short: ü")) == "short: ü"
    cut = sentence(TidegateError("ü" * 5000))
    assert cut.endswith("ü …")
    assert 3 * len(cut.encode()) < 4096
