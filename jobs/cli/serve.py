"""``tidegate serve``: ``tidegate local up --foreground`` by the name that a user tries first."""

from __future__ import annotations

import typer

from jobs.cli.local import ALL, HeadCpus, NodeCpus, Nodes, PartsOption, PortOffset, StateDir, Timeout, up, with_ports

app = typer.Typer(add_completion=False)


@app.command()
@with_ports
def serve(
    state_dir: StateDir = None,
    parts: PartsOption = ALL,
    nodes: Nodes = None,
    node_cpus: NodeCpus = 2,
    head_cpus: HeadCpus = None,
    timeout: Timeout = 180.0,
    port_offset: PortOffset = 0,
    **ports: int | None,
) -> int:
    """Run the stack on this machine in the foreground, as tidegate local up --foreground does; Ctrl-C ends it.

    Example: tidegate serve --nodes 1

    What answers with which share of the traffic is said by tidegate release and
    tidegate versions.
    """
    return up(state_dir, parts, nodes, node_cpus, head_cpus, True, timeout, port_offset, **ports)
