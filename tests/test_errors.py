"""Every error of the project derives from one base, and says its status, gRPC code and exit code."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from grpc import StatusCode

import app.gateway.ingress
import app.releases.api.ingress
from app.errors import PermissionDeniedError, ResourceExhaustedError, TidegateError

ROOT = Path(app.__path__[0]).parent
PRIVATE_SIGNALS = {"_OtherType", "_StoppedError"}
"""Classes that steer one module's own flow and never leave it."""


def tree(kind: type[TidegateError]) -> Iterator[type[TidegateError]]:
    """A class and all that derive from it, of the application."""
    if kind.__module__.startswith("app."):
        yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def declared(folder: str) -> dict[str, set[str]]:
    """Class name -> names of its bases, of every class under a folder."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(ast.unparse(base) for base in node.bases)
    return found


def test_every_error_class_derives_from_the_one_base() -> None:
    classes = declared("app") | declared("jobs") | declared("cluster")

    def ancestors(name: str) -> set[str]:
        bases = classes.get(name, set())
        return bases.union(*map(ancestors, bases))

    builtin = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))} | {"Exception"}
    strays = {
        name
        for name in classes
        if ancestors(name) & builtin
        and "TidegateError" not in ancestors(name) | {name}
        and name not in PRIVATE_SIGNALS
    }
    assert strays == set()


@pytest.mark.parametrize("kind", sorted(set(tree(TidegateError)), key=str))
def test_http_and_grpc_agree_whose_mistake_it_is(kind: type[TidegateError]) -> None:
    theirs = {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.UNAUTHENTICATED,
        StatusCode.PERMISSION_DENIED,
        StatusCode.NOT_FOUND,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.RESOURCE_EXHAUSTED,
    }
    assert (StatusCode[kind.grpc_code] in theirs) == (HTTPStatus(kind.status) < 500)
    assert 1 <= kind.exit_code <= 125
    assert kind.retry_after_s is None or kind.temporary


def test_headers_tell_what_to_do_next() -> None:
    assert ResourceExhaustedError("slow down", retry_after_s=7).headers == {"retry-after": "7"}
    assert 'scope="admin"' in PermissionDeniedError("no", "admin").headers["www-authenticate"]
    assert TidegateError("a defect").headers == {}
