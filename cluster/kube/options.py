"""Options that several verbs of ``tidegate kube`` have, and what all of them do with an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import durationpy
import typer

from app.exit_codes import INTERRUPTED
from cluster.kube.errors import KubeError
from cluster.kube.sets import FORMS

_PANEL = "Which cluster: as kubectl finds it; inside a pod, the pod's own"

Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Default: KUBECONFIG, else ~/.kube/config.", rich_help_panel=_PANEL, show_default=False
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A context of the kubeconfig. Default: its current one.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace of the platform. Default: that of the manifests, else of the context, else tidegate; status, "
        "scale and logs take tidegate where only that one has a RayService tidegate.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Sets = Annotated[list[str], typer.Option("--set", metavar="X=VALUE", help=f"May be given again; {FORMS}")]
Overlay = Annotated[
    str,
    typer.Argument(
        metavar="OVERLAY",
        help="An overlay, base, components joined by + (gpu+ha+mesh), or the path of a kustomization (with a /).",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="The server checks everything and keeps nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, also of an error.")]


class Access(NamedTuple):
    """The cluster and namespace that the options name."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


def duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``15m``, ``1h30m`` or ``1d``; for ``parser=`` of an option.

    Raises:
        typer.BadParameter: another form, or not above zero.
    """
    try:
        value = float(text) if text.replace(".", "", 1).isdecimal() else durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        value = 0.0
    if value <= 0:
        raise typer.BadParameter(f"{text!r} is not a time above zero; 90, 90s, 15m, 1h30m or 1d is accepted")
    return value


@contextmanager
def errors_as_json(as_json: bool) -> Iterator[None]:
    """Prints a document with ``error``, and with what was done before it, on stdout where ``as_json`` is given."""
    try:
        yield
    except (KubeError, KeyboardInterrupt) as error:
        if as_json:
            done, code = (error.done, error.exit_code) if isinstance(error, KubeError) else ({}, INTERRUPTED)
            found = {"type": type(error).__name__, "message": str(error) or "interrupted", "exitCode": code}
            print(json.dumps({**done, "error": found}))
        raise
