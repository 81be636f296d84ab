"""Checkpoints on disk: a folder a step, a file a server, each file whole or absent.

``folder/step-00000100/server-0-of-2.pt``; a step whose files are all there can be resumed from.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

MAX_CHECKPOINTS = 2
"""Complete checkpoints that are kept."""

_STEP = re.compile(r"step-(\d{8})")
_PART = re.compile(r"server-(\d+)-of-(\d+)\.pt")


def write(folder: Path, step: int, server: int, servers: int, state: Mapping[str, Any]) -> None:
    """Writes one server's part, under a temporary name first."""
    path = _part(folder, step, server, servers)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(4)}.unfinished")  # one of an earlier life may write, too
    with unfinished.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read(folder: Path, step: int, server: int, servers: int) -> dict[str, Any]:
    """One server's part, without pickle."""
    state: dict[str, Any] = torch.load(_part(folder, step, server, servers), map_location="cpu", weights_only=True)
    return state


def complete(folder: Path) -> dict[int, int]:
    """Number of servers by step of every complete checkpoint, the oldest first."""
    found = {}
    for path in sorted(folder.glob("step-*")):
        try:
            parts = [match for part in path.iterdir() if (match := _PART.fullmatch(part.name))]
        except FileNotFoundError:  # removed meanwhile
            continue
        step = _STEP.fullmatch(path.name)
        if step and parts and len(parts) == int(parts[0][2]):
            found[int(step[1])] = len(parts)
    return found


def remove_after(folder: Path, step: int) -> None:
    """Removes the checkpoints after ``step``: the run goes on from there and writes them anew."""
    for path in folder.glob("step-*"):
        found = _STEP.fullmatch(path.name)
        if found and int(found[1]) > step:
            _remove(path)


def remove_old(folder: Path) -> None:
    """Removes all but the newest complete checkpoints and what is newer than they are."""
    kept = sorted(complete(folder))[-MAX_CHECKPOINTS:]
    for path in folder.glob("step-*"):
        found = _STEP.fullmatch(path.name)
        if found and len(kept) == MAX_CHECKPOINTS and int(found[1]) < kept[0]:
            _remove(path)


def _remove(path: Path) -> None:
    # Who is about to end may still write there. What is left is removed another time, or written anew.
    shutil.rmtree(path, ignore_errors=True)


def _part(folder: Path, step: int, server: int, servers: int) -> Path:
    return folder / f"step-{step:08d}" / f"server-{server}-of-{servers}.pt"
