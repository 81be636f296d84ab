"""Begin, follow and steer releases.

  python -m jobs.release begin --model flights --version 2 --plan canary --follow
  python -m jobs.release list --model flights              the newest first
  python -m jobs.release show ID --follow                  one release; what happens to it until it ends
  python -m jobs.release promote ID                        open the present gate; --full: every gate that is left
  python -m jobs.release rollback ID                       the champion's capacity and traffic back, at once
  python -m jobs.release pause|resume|cancel ID            hold it; go on; take it back as not wanted
  python -m jobs.release audit --model flights             who changed what

`begin` may be left out. The plan is a YAML file, or the name of one in jobs/plans. The gateway is the one of
TIDEGATE_GATEWAY_URL, called with TIDEGATE_GATEWAY_ADMIN_KEY (a key with the scope release is enough); beside a
running local stack both are found.

--follow outlives a controller that is replaced, and gives up after two minutes without a word. Ctrl-C ends the
following and leaves the release alone.

Times are UTC.

Exit code: 0 promoted (without --follow: done), 3 rolled back, 4 cancelled, 1 refused or failed, 2 not understood (the
plan included), 130 no longer followed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.errors import InvalidArgumentError
from app.releases.lifecycle.orders import ORDERS, option_schemas, parse_order
from app.releases.model.plan import PlanError
from app.settings import SettingsError, get_settings
from jobs.release.client import Body, ReleaseError, Releases
from jobs.release.follow import follow
from jobs.release.plans import names, read
from jobs.release.words import (
    DONE,
    ENDS,
    FAILED,
    NOT_UNDERSTOOD,
    end,
    entry_line,
    headline,
    present,
)

INTERRUPTED = 130
LOG_COLUMNS = 200
"""Width of tables where the output is not a terminal."""
_LISTED = ["id", "model", "challenger", "champion", "strategy", "state", "created_at", "reason"]
_AUDITED = ["at", "who", "model", "release", "before", "after", "what"]


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help"):
        arguments = ["begin", *arguments]
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else LOG_COLUMNS)
    release = ""
    try:
        plan = read(options.plan) if options.verb == "begin" else {}
        with Releases(get_settings().gateway) as releases:
            found = _asked(releases, options, plan)
            if isinstance(found, dict):
                release = found["id"]
                if options.follow:
                    found = follow(releases, release, console)
                else:
                    _show(console, found)
            else:
                console.print(_table(found))
    except (PlanError, InvalidArgumentError, SettingsError) as error:
        print(error, file=sys.stderr)
        return NOT_UNDERSTOOD
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(no_longer_followed(release), file=sys.stderr)
        return INTERRUPTED
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return ENDS[found["state"]] if isinstance(found, dict) and options.follow else DONE


def no_longer_followed(release: str) -> str:
    """What Ctrl-C leaves."""
    if not release:
        return "interrupted; python -m jobs.release list says what was begun"
    return f"no longer followed; release {release} goes on: python -m jobs.release show {release} --follow"


def _asked(releases: Releases, options: argparse.Namespace, plan: Body) -> Body | list[Body]:
    match options.verb:
        case "begin":
            return releases.begin(options.model, options.version, plan)
        case "list":
            return releases.newest(options.model, options.count)
        case "audit":
            return releases.audit(options.model, options.count)
        case "show":
            return releases.read(options.release)
        case verb:
            names = [name for name, _ in option_schemas(ORDERS[verb])]
            given = {name: value for name in names if (value := getattr(options, name)) is not None}
            return releases.order(options.release, parse_order(verb, given))


def _show(console: Console, state: Body) -> None:
    entries = [f"  {entry_line(entry)}" for entry in state["history"]]
    for line in (headline(state), *entries, end(state) if state["ended"] else present(state)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(rows: list[Body]) -> Table:
    shown = Table(box=None, pad_edge=False)
    columns = _AUDITED if rows and "release" in rows[0] else _LISTED
    for name in columns:
        shown.add_column(name.removesuffix("_at").replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(name, row[name]) for name in columns))
    return shown


def _cell(name: str, value: Any) -> Text:
    if name in ("at", "created_at"):
        return Text(value[:19].replace("T", " "))
    return Text("" if value is None else str(value))


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is a whole number from 1 to 1000")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    to_file = argparse.ArgumentParser(add_help=False)
    to_file.add_argument("--json", type=Path, metavar="FILE", help="write what is known at the end as JSON")
    to_end = argparse.ArgumentParser(add_help=False)
    to_end.add_argument("--follow", action="store_true", help="say what happens until it ends")
    begin = verbs.add_parser("begin", help="begin a release", parents=[to_file, to_end])
    begin.add_argument("--model", required=True, help="a registered model")
    begin.add_argument("--version", required=True, help="the challenger: number or alias in the registry")
    begin.add_argument("--plan", required=True, help=f"a YAML file, or one of {', '.join(names())}")
    for verb, meaning in (("list", "releases, the newest first"), ("audit", "who changed what, the newest first")):
        listing = verbs.add_parser(verb, help=meaning, parents=[to_file])
        listing.add_argument("--model", help="of this model only")
        listing.add_argument("--count", type=_positive, default=20, help="how many at most [%(default)s]")
        listing.set_defaults(follow=False)
    for verb, meaning in {"show": "one release", **{verb: order.meaning for verb, order in ORDERS.items()}}.items():
        one = verbs.add_parser(verb, help=meaning, parents=[to_file, to_end])
        one.add_argument("release", metavar="ID", help="as begin and list print it")
        for name, schema in option_schemas(ORDERS[verb]) if verb in ORDERS else ():
            if schema.get("type") == "boolean":
                one.add_argument(f"--{name}", action="store_true", default=None, help=schema["description"])
            else:
                one.add_argument(f"--{name}", help=schema["description"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
