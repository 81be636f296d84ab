"""``tidegate events``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.exit_codes import DONE, FAILED
from app.terminal import close_stdout, exit_code_of
from jobs.cli.options import whole_number

HELP = """Show the events of a model.

tidegate events tail flights                  predictions as they happen,
                                              until Ctrl-C
tidegate events tail flights --from start --no-follow      all that are kept
tidegate events tail flights --count 100 --json            the next 100
tidegate events tail flights --labels         the labels that came in

A record may appear twice (at least once): the same event_id is the same
prediction. Older ones than the stream keeps (TIDEGATE_EVENTS_MAXLEN) are
gone. The streams are in the Redis of TIDEGATE_EVENTS_URL, else of
TIDEGATE_REDIS_URL.

Exit code: 0 done, also by Ctrl-C; 1 no such model, or no answer; 2 not
understood."""

app = typer.Typer(help=HELP, add_completion=False)


@app.callback()
def events() -> None:
    """Take no option of its own."""


@app.command()
def tail(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False)],
    labels: Annotated[bool, typer.Option("--labels", help="The labels.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="now|start|POSITION",
            help="Behind which record to begin; a position is in --json's field of that name, or a time in "
            "milliseconds since the epoch (default: now; with --no-follow: start).",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(parser=whole_number, metavar="N", help="End after N records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for further records.")] = True,
) -> int:
    """Print a model's predictions, or labels."""
    from app.settings import get_settings
    from jobs.event_tail import PositionError, TailOptions
    from jobs.event_tail import tail as print_events

    options = TailOptions(model, labels, start, count, as_json, follow)

    def work() -> int:
        try:
            asyncio.run(print_events(options, get_settings()))
        except PositionError as error:
            raise typer.BadParameter(str(error)) from None
        except BrokenPipeError:  # ``| head`` has seen enough, as by Ctrl-C
            close_stdout()
        return DONE

    return exit_code_of(work, highest=FAILED)
