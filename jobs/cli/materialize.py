"""``tidegate materialize``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.exit_codes import DONE, FAILED, STOPPED

app = typer.Typer(add_completion=False)

HELP = """Fill the online feature store from a recipe's events, and keep it fresh by replaying them.

As of an instant:
  tidegate materialize --recipe flights --until 2013-10-01
And from there on:
  tidegate materialize --recipe flights --until 2013-10-01 --serve --speed 60
On a cluster:
  ray job submit --working-dir . -- python -m jobs.materialize --recipe ...

The events are written to TIDEGATE_FEATURES_STORAGE as Parquet where they
are not there yet. Rows are written only if they are newer, so that every
command may be repeated; --serve goes on where it stopped, and ends cleanly
on Ctrl-C, SIGTERM and ray job stop. With --until the store's time is that
of the replay, for gateways too; it stands still where a replay ends or is
stopped, and holds for TIDEGATE_FEATURES_CLOCK_LEASE_S after the last step.

Exit code: 0 done, or the replay was stopped; 1 Redis or Ray does not
answer, or another view of a name is registered; 2 an option is refused; 75
stopped before all rows were written. The last line of the output is one
JSON object: rows by view, the address of the events and the instant
reached, or where it stopped."""


@app.command(help=HELP)
def materialize(
    recipe: Annotated[str, typer.Option(metavar="NAME", help="A shipped recipe, or package.module:Class.")],
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Rows as of this instant, UTC; else the store's time.")
    ] = None,
    view: Annotated[list[str], typer.Option(metavar="NAME", help="This view only; may be repeated.")] = [],  # noqa: B006
    serve: Annotated[bool, typer.Option("--serve", help="Replay the events from then on.")] = False,
    speed: Annotated[
        float | None, typer.Option(metavar="N", help="Event seconds in a second of wall time; else 1.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="INSTANT", help="End of the replay; else the last event.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the views' rows and begin at --until.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of other views of these names.")] = False,
) -> int:
    """Refuse early, then run."""
    from app.settings import get_settings
    from app.terminal import exit_code_of
    from jobs.materialize.request import checked
    from jobs.materialize.run import StoppedError, run

    settings = get_settings()
    request = checked(recipe, until=until, views=view, serve=serve, speed=speed, to=to, fresh=fresh, replace=replace)

    def work() -> int:
        try:
            result = run(request, settings)
        except StoppedError as stopped:
            print(stopped)
            print(json.dumps({"parts": stopped.parts, "stopped_at_part": stopped.parts_done}), flush=True)
            return STOPPED
        print(json.dumps(result), flush=True)
        return DONE

    return exit_code_of(work, highest=FAILED)  # what was understood and is refused by the store
