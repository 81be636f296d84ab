"""The folder of sockets and sessions, where a Unix socket's path fits.

It is ``run`` in the state folder, or, where that is too deep, a link there to a short folder under the system's
temporary one. The short folder names its state folder, so that one whose state folder is gone is found and removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

LONGEST = 24
"""A Unix socket's path has 107 bytes. The longest are HAProxy's, which binds
``<run>/h/<node id, 56 bytes>/admin.sock.<pid>.tmp``, and Ray's,
``<run>/ray/session_<date>_<time>_<microseconds>_<pid>/sockets/plasma_store.<number>``."""
SHORT_PREFIX = "tg-"
OWNER = "owner"


def create(run: Path) -> None:
    """Make ``run`` a folder or a link to one, private to this user, unless it is."""
    if run.is_symlink():
        if _mine(run.resolve()):
            return
        run.unlink()
    if len(os.fsencode(run.resolve())) <= LONGEST:
        run.mkdir(mode=0o700, exist_ok=True)
        return
    if run.is_dir():  # the state folder has moved to a longer path
        shutil.rmtree(run)
    for parent in _parents():
        _sweep(parent)
    short = _short()
    run.symlink_to(short)
    (short / OWNER).write_text(str(run))


def remove(run: Path) -> None:
    """Remove what ``run`` links to."""
    if run.is_symlink() and _mine(run.resolve()):
        shutil.rmtree(run.resolve(), ignore_errors=True)


def _parents() -> list[Path]:
    return [Path(tempfile.gettempdir()), Path("/tmp")]  # macOS' own is too long  # noqa: S108


def _short() -> Path:
    for parent in _parents():
        if len(os.fsencode(parent)) + len(SHORT_PREFIX) + 9 <= LONGEST:
            return Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=parent))
    raise AssertionError("the last parent is short enough")


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{SHORT_PREFIX}*"):
        with contextlib.suppress(OSError):
            run = Path((folder / OWNER).read_text())
            if _mine(folder) and not (run.is_symlink() and run.resolve() == folder.resolve()):
                shutil.rmtree(folder, ignore_errors=True)


def _mine(folder: Path) -> bool:
    return folder.is_dir() and folder.stat().st_uid == os.getuid()
