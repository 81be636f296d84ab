"""Overlays as kubectl renders them, each once per session."""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import yaml

from cluster.kube.manifest import Object, load
from cluster.kube.render import kubectl

CLUSTER = Path(__file__).parents[3] / "cluster"
OVERLAYS = tuple(sorted(folder.name for folder in (CLUSTER / "overlays").iterdir() if folder.is_dir()))
PLATFORMS = tuple(name for name in OVERLAYS if (CLUSTER / "components" / name).is_dir())
"""The overlays that are base and one component; the others stand alone."""
COMBINATIONS = ("gpu+ha", "gpu+ha+mesh+monitoring", "gpu+kueue")
ALL = ("base", *OVERLAYS, *COMBINATIONS)
WITH_BASE = ("base", *PLATFORMS, *COMBINATIONS)


def kustomize(folder: Path) -> list[Object]:
    """The objects of a folder with a kustomization."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return load(done.stdout)


def compose(components: list[str], **more: object) -> list[Object]:
    """The base with components in this order; ``more`` are further fields of the kustomization."""
    with tempfile.TemporaryDirectory() as folder:
        to_cluster = os.path.relpath(CLUSTER.resolve(), Path(folder).resolve())
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{to_cluster}/base"],
            "components": [f"{to_cluster}/components/{name}" for name in components],
            **more,
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return kustomize(Path(folder))


@cache
def _everything() -> dict[str, list[Object]]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(ALL, pool.map(_render, ALL), strict=True))


def _render(name: str) -> list[Object]:
    if name == "base":
        return kustomize(CLUSTER / "base")
    return compose(name.split("+")) if "+" in name else kustomize(CLUSTER / "overlays" / name)


def render(name: str) -> list[Object]:
    """``base``, an overlay, or components joined by ``+``: objects of one's own to change."""
    return copy.deepcopy(_everything()[name])
