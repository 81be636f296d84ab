"""Objects that a verb's OVERLAY and ``--set`` ask for, each with its namespace on this server."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from cluster.kube.api import Kube
from cluster.kube.errors import MissingKindError
from cluster.kube.manifest import Object, in_apply_order
from cluster.kube.render import render


def desired_objects(overlay: str, sets: Sequence[str], namespace: str | None) -> list[Object]:
    """Returns the rendered objects in the order in which they are applied."""
    return in_apply_order(render(overlay, sets, namespace))


def in_namespace(kube: Kube, objects: Sequence[Object], namespace: str) -> list[Object]:
    """Returns the objects with their namespaces; a namespaced one that names none gets ``namespace``.

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
