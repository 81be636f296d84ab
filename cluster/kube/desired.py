"""What a verb's OVERLAY and ``--set`` ask for, as objects of this server."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence

from cluster.kube.api import Kube
from cluster.kube.errors import MissingKindError
from cluster.kube.manifest import Object, in_apply_order
from cluster.kube.render import render
from cluster.kube.verbs.render import add_sets


def add_desired(parser: argparse.ArgumentParser) -> None:
    """The options that say what is meant."""
    parser.add_argument("overlay", metavar="OVERLAY", help="as for `render`: gpu, gpu+ha+mesh, a path")
    add_sets(parser)


def desired_objects(options: argparse.Namespace) -> list[Object]:
    """The objects rendered, in the order in which they are applied."""
    return in_apply_order(render(options.overlay, options.sets, options.namespace))


def in_namespace(kube: Kube, objects: Sequence[Object], namespace: str) -> list[Object]:
    """The objects with their namespaces; ``namespace`` where a namespaced one names none.

    Raises:
        MissingKindError: the server lacks some of the kinds; all of them are named.
    """
    found, missing = [], []
    for obj in objects:
        try:
            namespaced = kube.is_namespaced(obj["apiVersion"], obj["kind"])
        except MissingKindError:
            missing.append(f"{obj['kind']} ({obj['apiVersion']})")
            continue
        if namespaced and not obj["metadata"].get("namespace"):
            obj = copy.deepcopy(obj)
            obj["metadata"]["namespace"] = namespace
        found.append(obj)
    if missing:
        raise MissingKindError(
            f"{kube.server} does not know: {', '.join(sorted(set(missing)))}; nothing was sent",
            status=404,
            advice="install the operator or controller that brings these kinds, or leave their component out",
        )
    return found
