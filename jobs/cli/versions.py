"""``tidegate versions``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from app.exit_codes import FAILED
from app.terminal import exit_code_of, print_json, print_table, table
from jobs.cli.options import Json

if TYPE_CHECKING:
    from jobs.versions.run import Versions

HELP = """Deploy versions beside the gateway, set their weights, take them away.

tidegate versions up flights 2 --entity tailnum   deploy it, at weight 0
tidegate versions weights flights 1=0.9 2=0.1     split the traffic
tidegate versions place flights 2 inline          let the gateway answer
tidegate versions list                            what is deployed
tidegate versions down flights 1                  remove one without weight

As a submitted job (python -m jobs.versions) it runs without --working-dir:
versions outlive the job and must not depend on its files.

Exit code: 0 done, 1 refused or failed, 2 not understood."""

app = typer.Typer(help=HELP, add_completion=False)
T = TypeVar("T")
Model = Annotated[str, typer.Argument(show_default=False)]
Version = Annotated[str, typer.Argument(show_default=False)]


@app.command()
def up(
    model: Model,
    version: Annotated[str, typer.Argument(help="Number or alias in the registry.", show_default=False)],
    entity: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Input column whose value keeps a request with its version.")
    ] = None,
) -> int:
    """Deploy a version, at weight 0."""
    return _call(lambda found: found.up(model, version, entity))


@app.command()
def down(model: Model, version: Version) -> int:
    """Remove a version that has no weight."""
    return _call(lambda found: found.down(model, version))


def _weight(text: str) -> tuple[str, float]:
    version, equals, weight = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r}: accepted is VERSION=WEIGHT, such as 2=0.1")
    try:
        return version, float(weight)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: {weight!r} is not a number from 0 to 1") from None


@app.command()
def weights(
    model: Model,
    pairs: Annotated[list[Any], typer.Argument(parser=_weight, metavar="VERSION=WEIGHT...", show_default=False)],
) -> int:
    """Set the weights; a version that is not named gets 0."""
    return _call(lambda found: found.set_weights(model, dict(pairs)))


@app.command()
def place(
    model: Model,
    version: Version,
    placement: Annotated[Literal["inline", "dedicated"], typer.Argument(show_default=False)],
) -> int:
    """Move the version with all the traffic into the gateway, or out again."""
    return _call(lambda found: found.place(model, version, placement))


@app.command("list")
def list_(as_json: Json = False) -> int:
    """List what is deployed, with its weight and place."""

    def work() -> None:
        rows = asyncio.run(_within(lambda found: found.deployed()))
        if as_json:
            print_json([row._asdict() for row in rows])
            return
        shown = table("model", "version", "weight", "placement", "application", "state", right=("weight",))
        for row in rows:
            shown.add_row(row.model, row.version, f"{row.weight:.1%}", row.placement, row.application, row.state)
        print_table(shown)

    return exit_code_of(work, highest=FAILED)


def _call(verb: Callable[[Versions], Awaitable[str]]) -> int:
    return exit_code_of(lambda: print(asyncio.run(_within(verb)), flush=True), highest=FAILED)


async def _within(verb: Callable[[Versions], Awaitable[T]]) -> T:
    from app.settings import get_settings
    from jobs.versions.run import connected

    async with connected(get_settings()) as found:
        return await verb(found)
