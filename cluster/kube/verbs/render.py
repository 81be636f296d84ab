"""The verb ``render``: the manifests as plain YAML, their list, and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from app.terminal import print_table, table
from cluster.kube.errors import UsageError
from cluster.kube.options import Sets
from cluster.kube.overlays import Listed, available
from cluster.kube.render import render as objects_of
from cluster.kube.render import render_text
from cluster.kube.sizes import Size, cells, sizes

app = typer.Typer(add_completion=False)


@app.command()
def render(
    overlay: Annotated[str | None, typer.Argument(metavar="OVERLAY", help="As of up.", show_default=False)] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show the overlays and components.")] = False,
    show_sizes: Annotated[
        bool, typer.Option("--sizes", help="Show what it asks for instead: pods, CPU, memory, storage.")
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", metavar="NAME", help="Default: that of the manifests.", show_default=False),
    ] = None,
    sets: Sets = [],  # noqa: B006  (typer copies it)
) -> int:
    """Print the manifests as plain YAML.

    They are printed as kubectl apply -k would send them, with the changes of --set.

    \b
    tidegate kube render --list
    tidegate kube render gpu+ha+mesh
    tidegate kube render ha --sizes
    tidegate kube render gpu --set image=NAME@sha256:… --set TIDEGATE_GATEWAY_MAX_REPLICAS=8
    tidegate kube render ha --set mlflow.maxReplicas=3 | kubectl apply --server-side -f -
    """
    if show_list:
        _show_list()
    elif overlay is None:
        raise UsageError("an OVERLAY is missing; tidegate kube render --list shows what there is")
    elif show_sizes:
        _show_sizes(sizes(objects_of(overlay, sets, namespace)))
    else:
        print(render_text(overlay, sets, namespace), end="")
    return 0


def _show_sizes(found: Sequence[Size]) -> None:
    titles = ("part", "pods", "CPU of each", "memory of each", "GPUs of each", "storage of each")
    shown = table(*titles, right=titles[1:], whole=titles)
    for size in found:
        shown.add_row(*cells(size))
    print_table(shown)


def _show_list() -> None:
    shown = table("name", "kind", "what it is", whole=("name", "kind"))
    by_name: dict[str, list[Listed]] = {}
    for each in available():
        by_name.setdefault(each.name, []).append(each)
    for name, same in by_name.items():
        # An overlay that is the base with the component of its name needs no words of its own.
        description = next((each.description for each in same if each.description), "")
        shown.add_row(name, ", ".join(each.kind for each in same), description)
    print_table(shown)
