"""``tidegate kube render``: the manifests as plain YAML."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cluster.kube.cli import Verbs, run
from cluster.kube.errors import UsageError
from cluster.kube.overlays import Listed, available
from cluster.kube.render import render, render_text
from cluster.kube.sets import FORMS
from cluster.kube.sizes import Size, cells, sizes

DESCRIPTION = """\
Print the manifests of an overlay as `kubectl apply -k` would send them, with what --set changes.

OVERLAY is an overlay, `base`, one or several components joined by + (applied to the base in this order), or the path
of a kustomization of your own (with a /).
"""
EXAMPLES = """\
examples:
  tidegate kube render --list
  tidegate kube render gpu+ha+mesh
  tidegate kube render ha --sizes
  tidegate kube render gpu --set image=NAME@sha256:… --set TIDEGATE_GATEWAY_MAX_REPLICAS=8
  tidegate kube render ha --set mlflow.maxReplicas=3 | kubectl apply --server-side -f -
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "render",
        help="the manifests as YAML",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overlay", nargs="?", metavar="OVERLAY", help="what to render; --list shows what there is")
    parser.add_argument("--list", action="store_true", help="show the overlays and components")
    parser.add_argument(
        "--sizes", action="store_true", help="show what it asks for instead: pods, CPU, memory, storage"
    )
    parser.add_argument("-n", "--namespace", metavar="NAME", help="namespace (default: that of the manifests)")
    add_sets(parser)
    parser.set_defaults(run=lambda options: run(_render, options))


def add_sets(parser: argparse.ArgumentParser) -> None:
    """The option ``--set``, which every verb that renders has."""
    parser.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="X=VALUE", help=f"may be given again; {FORMS}"
    )


def _render(options: argparse.Namespace) -> int:
    if options.list:
        _show_list()
        return 0
    if options.overlay is None:
        raise UsageError("an OVERLAY is missing; tidegate kube render --list shows what there is")
    if options.sizes:
        _show_sizes(sizes(render(options.overlay, options.sets, options.namespace)))
        return 0
    print(render_text(options.overlay, options.sets, options.namespace), end="")
    return 0


def _show_sizes(found: Sequence[Size]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("part", "pods", "CPU of each", "memory of each", "GPUs of each", "storage of each"):
        table.add_column(title, no_wrap=True, justify="left" if title == "part" else "right")
    for size in found:
        table.add_row(*cells(size))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(table)


def _show_list() -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "what it is"):
        table.add_column(title, no_wrap=title != "what it is", overflow="fold")
    by_name: dict[str, list[Listed]] = {}
    for each in available():
        by_name.setdefault(each.name, []).append(each)
    for name, same in by_name.items():
        # An overlay that is the base with the component of its name needs no words of its own.
        description = next((each.description for each in same if each.description), "")
        table.add_row(name, ", ".join(each.kind for each in same), description)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(table)
