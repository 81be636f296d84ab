"""``tidegate release``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from app.exit_codes import DONE, INTERRUPTED
from app.releases.lifecycle.orders import ORDERS, Order, option_schemas, parse_order
from app.terminal import console, print_error, print_table, table
from jobs.cli.options import JsonFile, Plan, option, with_options
from jobs.release.client import Body, Releases
from jobs.release.follow import follow
from jobs.release.plans import read
from jobs.release.sentences import EXIT_CODES, end, entry_line, headline, no_longer_followed, present

HELP = """Begin, follow and steer releases.

tidegate release begin --model flights --version 2 --plan canary --follow
tidegate release list --model flights
tidegate release show ID --follow
tidegate release promote ID

begin may be left out. The plan is a YAML file, or the name of one in
jobs/plans. The gateway is the one of TIDEGATE_GATEWAY_URL, called with
TIDEGATE_GATEWAY_ADMIN_KEY (a key with the scope release is enough); beside
a running local stack both are found.

--follow outlives a controller that is replaced, and gives up after two
minutes without a sign of life. Ctrl-C ends the following and leaves the
release alone. Times are UTC.

Exit code: 0 promoted (without --follow: done), 3 rolled back, 4 cancelled,
1 refused or failed, 2 not understood (the plan included), 130 no longer
followed."""
_LISTED = ("id", "model", "challenger", "champion", "strategy", "state", "created_at", "reason")
_AUDITED = ("at", "who", "model", "release", "before", "after", "what")


class _ReleaseGroup(typer.core.TyperGroup):
    """A group whose verb ``begin`` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["begin", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ReleaseGroup, help=HELP, add_completion=False)
Follow = Annotated[bool, typer.Option("--follow", help="Print what happens until it ends.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As begin and list print it.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Of this model only.")]
Count = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@app.command()
def begin(
    model: Annotated[str, typer.Option(help="A registered model.")],
    version: Annotated[str, typer.Option(help="The challenger: number or alias in the registry.")],
    plan: Plan,
    follow: Follow = False,
    json_file: JsonFile = None,
) -> int:
    """Begin a release."""
    document = read(plan)
    return _one(lambda releases: releases.begin(model, version, document), follow, json_file)


@app.command("list")
def list_(model: Model = None, count: Count = 20, json_file: JsonFile = None) -> None:
    """List releases, the newest first."""
    with _connected() as releases:
        _print_rows(releases.newest(model, count), _LISTED, json_file)


@app.command()
def show(release: Id, follow: Follow = False, json_file: JsonFile = None) -> int:
    """Show one release, with --follow what happens to it until it ends."""
    return _one(lambda releases: releases.read(release), follow, json_file)


@app.command()
def audit(model: Model = None, count: Count = 20, json_file: JsonFile = None) -> None:
    """List who changed what, the newest first."""
    with _connected() as releases:
        _print_rows(releases.audit(model, count), _AUDITED, json_file)


def _kind(schema: dict[str, Any]) -> Any:
    # A flag has no form that switches it off: it is off where it is not given.
    return bool | None if schema.get("type") == "boolean" else str | None


def _verb(order: type[Order]) -> Callable[..., int]:
    """Returns the function of an order's verb; its options are the order's fields."""

    def give(release: Id, follow: Follow = False, json_file: JsonFile = None, **options: Any) -> int:
        given = {name: value for name, value in options.items() if value is not None}
        return _one(lambda releases: releases.order(release, parse_order(order.verb, given)), follow, json_file)

    return with_options(
        give,
        [
            option(name, Annotated[_kind(schema), typer.Option(f"--{name}", help=schema["description"])])
            for name, schema in option_schemas(order)
        ],
    )


for _order in ORDERS.values():
    app.command(_order.verb, help=f"{_order.meaning.capitalize()}.")(_verb(_order))


def _connected() -> Releases:
    from app.settings import get_settings

    return Releases(get_settings().gateway)


def _one(ask: Callable[[Releases], Body], followed: bool, json_file: Path | None) -> int:
    """Ask for one release, then print or follow it; returns the exit code."""
    found: Body = {}
    try:
        with _connected() as releases:
            found = ask(releases)
            if followed:
                found = follow(releases, found["id"], console())
            else:
                _print_state(found)
    except KeyboardInterrupt:
        print_error(no_longer_followed(found.get("id", "")))
        return INTERRUPTED
    _write(found, json_file)
    return EXIT_CODES[found["state"]] if followed else DONE


def _print_state(state: Body) -> None:
    entries = [f"  {entry_line(entry)}" for entry in state["history"]]
    now = [end(state)] if state["ended"] else present(state)
    for line in (headline(state), *entries, *now):
        print(line)


def _print_rows(rows: list[Body], columns: tuple[str, ...], json_file: Path | None) -> None:
    titles = [name.removesuffix("_at") for name in columns]
    shown = table(*titles, whole=("id", "release", "model", "created", "at"))
    for row in rows:
        shown.add_row(*(_cell(name, row[name]) for name in columns))
    print_table(shown)
    _write(rows, json_file)


def _cell(name: str, value: Any) -> str:
    if name in ("at", "created_at"):
        return str(value[:19].replace("T", " "))
    return "" if value is None else str(value)


def _write(found: Body | list[Body], json_file: Path | None) -> None:
    if json_file:
        json_file.write_text(json.dumps(found, indent=2) + "\n")
