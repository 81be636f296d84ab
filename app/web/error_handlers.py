"""Replies to the errors of a FastAPI application: ``{"error": sentence}``, whatever raised."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from app.errors import TidegateError


def error_reply(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The reply to an error."""
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


def add_error_handlers(api: FastAPI, program: str) -> None:
    """Lets ``api`` reply to its own errors, to FastAPI's and to defects.

    Args:
        program: the one that a defect's sentence names, as in "gateway".
    """

    async def on_defect(_: Request, error: Exception) -> JSONResponse:
        return error_reply(500, defect(program, error))  # Starlette logs it

    api.add_exception_handler(TidegateError, _on_error)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(Exception, on_defect)


def defect(program: str, error: Exception) -> str:
    """The sentence for a caller of a program that failed by a defect of its own."""
    return f"the {program} failed ({type(error).__name__}); its log says more"


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TidegateError)
    return error_reply(error.status, str(error), error.headers)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return error_reply(400, "; ".join(problems))


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_of(request)):
        headers = {"allow": ", ".join(methods)}
    return error_reply(error.status_code, str(error.detail), headers)


def _methods_of(request: Request) -> list[str]:
    """All methods of the path, by the document: Starlette names those of the first route that has the path."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    held = [path for path in paths if compile_path(path)[0].match(request.url.path)]
    if not held:
        return []
    nearest = min(held, key=lambda path: (path.count("{"), -len(path)))
    return sorted(method.upper() for method in paths[nearest])
