"""Manifests that can be rendered, and the folders that a name such as ``gpu+ha+mesh`` stands for."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.kube.errors import UsageError

MANIFESTS = Path(__file__).parents[1]
"""The folder that holds ``base``, ``components`` and ``overlays``."""

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
BASE = "base"
OVER_ALL = ("kueue", "mesh")
"""Components that change what the others bring; they come last and in this order, wherever they are named."""

Kind = Literal["base", "overlay", "component"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A name that can be rendered. A component is given to the base, alone or with others by ``+``."""

    name: str
    kind: Kind
    description: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Composition:
    """The folders that a name stands for; components follow each other in the order in which they are applied."""

    name: str
    resource: Path
    components: tuple[Path, ...] = ()


def available(manifests: Path = MANIFESTS) -> list[Listed]:
    """Returns base, overlays and components by name, each with the first sentence of its kustomization."""
    found = [_listed("base", manifests / BASE)] if kustomization_of(manifests / BASE) else []
    found += [_listed("overlay", each) for each in _folders(manifests / "overlays")]
    found += [_listed("component", each) for each in _folders(manifests / "components")]
    return found


def resolve(overlay: str, manifests: Path = MANIFESTS) -> Composition:
    """Returns the folders of ``overlay``: a name, components joined by ``+``, or the path of a kustomization.

    Raises:
        UsageError: there is no such overlay, component or folder, or the parts do not go together.
    """
    if "/" in overlay or overlay in (".", ".."):
        folder = Path(overlay).expanduser()
        if not kustomization_of(folder):
            raise UsageError(f"{overlay!r} is no folder with a {FILES[0]}")
        return Composition(overlay, folder.resolve())
    listed = available(manifests)
    if not listed:
        raise UsageError(f"no manifests in {manifests}; a path to a kustomization of your own is accepted")
    whole = {each.name: each for each in listed if each.kind != "component"}
    components = {each.name: each for each in listed if each.kind == "component"}
    parts = overlay.split("+")
    if len(parts) == 1:
        if each := whole.get(overlay):
            return Composition(overlay, each.folder.resolve())
        if overlay not in components:
            raise UsageError(_unknown(overlay, listed))
    for part in parts:
        if part in components:
            continue
        if part == BASE:
            raise UsageError(f"{overlay!r}: the base is in every composition; name the components alone")
        if part in whole:
            raise UsageError(
                f"{overlay!r}: the overlay {part!r} stands alone; {_names(components)} can be joined by +"
            )
        raise UsageError(f"{overlay!r}: {_unknown(part, list(components.values()))}")
    if len(set(parts)) < len(parts):
        raise UsageError(f"{overlay!r} names a component twice")
    ordered = sorted(parts, key=lambda part: OVER_ALL.index(part) if part in OVER_ALL else -1)
    return Composition(
        overlay, (manifests / BASE).resolve(), tuple(components[part].folder.resolve() for part in ordered)
    )


def kustomization_of(folder: Path) -> Path | None:
    """Returns the folder's kustomization file, ``None`` where it has none."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _folders(parent: Path) -> list[Path]:
    return sorted(each for each in parent.glob("*") if kustomization_of(each))


def _listed(kind: Kind, folder: Path) -> Listed:
    return Listed(folder.name, kind, _description(folder), folder)


def _unknown(name: str, listed: list[Listed]) -> str:
    names = [each.name for each in listed]
    close = difflib.get_close_matches(name, names, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"nothing is called {name!r}{meant}; there are {', '.join(dict.fromkeys(names))}, or a path with a /"


def _names(listed: dict[str, Listed]) -> str:
    return ", ".join(listed) or "nothing"


def _description(folder: Path) -> str:
    """Returns the first sentence of the comment that the kustomization begins with."""
    file = kustomization_of(folder)
    words: list[str] = []
    for line in file.read_text().splitlines() if file else ():
        if not line.startswith("#"):
            break
        words += line.lstrip("#").split()
    return re.split(r"(?<=[.!?])\s", " ".join(words), maxsplit=1)[0]
