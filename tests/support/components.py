"""A component's own objects, as its files have them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cluster.kube.manifest import Object, load

CLUSTER = Path(__file__).parents[2] / "cluster"


@cache
def objects(component: str) -> tuple[Object, ...]:
    """Objects that ``cluster/components/NAME`` adds to a platform; patches and transformers are none."""
    folder = CLUSTER / "components" / component
    texts = (path.read_text() for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml")
    return tuple(obj for text in texts if "apiVersion: " in text for obj in load(text))


def of(component: str, kind: str, name: str | None = None) -> list[Object]:
    """The component's objects of a kind."""
    return [obj for obj in objects(component) if obj["kind"] == kind and name in (None, obj["metadata"]["name"])]
