"""The corpus: the source of Python's standard library, pinned by a manifest of its files."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.errors import InvalidArgumentError

MANIFEST = Path(__file__).with_name("manifest.txt")
END_OF_FILE = b"\0"
VALIDATION_SHARE = 1 / 16

_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "encodings", "ensurepip"}
)
_SKIPPED_PREFIX = "_sysconfigdata"  # written by the build, with the builder's paths


class CorpusError(InvalidArgumentError, ValueError):
    """The installation's files are not those of the manifest; the message names the first that differs."""


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """A file of the corpus: its path below the library's folder, bytes, and SHA-256 (hex)."""

    path: str
    size: int
    sha256: str

    @property
    def held_out(self) -> bool:
        """True for a validation file: decided by the hash of its path alone, so that other files coming or
        going do not move it."""
        return hashlib.sha256(self.path.encode()).digest()[0] < 256 * VALIDATION_SHARE


@dataclass(frozen=True, slots=True)
class Corpus:
    """Training and validation bytes, each file followed by a zero byte, in the order of their paths.

    Attributes:
        fingerprint: SHA-256 over the manifest of the files that were read, hex.
    """

    train: bytes
    validation: bytes
    fingerprint: str
    files: int


def library() -> Path:
    """The folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def list_files(root: Path) -> tuple[SourceFile, ...]:
    """The installation's own files, sorted by path."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - _SKIPPED_FOLDERS  # not entered: installed packages can be many
        for name in names:
            if name.endswith(".py") and not name.startswith(_SKIPPED_PREFIX):
                path = Path(folder, name)
                content = path.read_bytes()
                relative = path.relative_to(root).as_posix()
                found.append(SourceFile(relative, len(content), hashlib.sha256(content).hexdigest()))
    return tuple(sorted(found))


def read_manifest(path: Path = MANIFEST) -> tuple[SourceFile, ...]:
    """The pinned files; a line each: SHA-256, bytes, path."""
    lines = (line.split(maxsplit=2) for line in path.read_text().splitlines() if not line.startswith("#"))
    return tuple(SourceFile(name, int(size), sha256) for sha256, size, name in lines)


def format_manifest(files: Iterable[SourceFile]) -> str:
    """The lines that :func:`read_manifest` reads."""
    return "".join(f"{file.sha256} {file.size:>7} {file.path}\n" for file in files)


def read_corpus(root: Path, files: tuple[SourceFile, ...]) -> Corpus:
    """Reads ``files`` below ``root``.

    Raises:
        CorpusError: one of them is missing or has another content.
    """
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    for file in files:
        try:
            content = (root / file.path).read_bytes()
        except OSError as error:
            raise CorpusError(f"{root / file.path}: {error.strerror}; {_ADVICE}") from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise CorpusError(f"{root / file.path} is not the file of the manifest ({file.sha256[:12]}…); {_ADVICE}")
        parts[file.held_out] += (content, END_OF_FILE)
    fingerprint = hashlib.sha256(format_manifest(files).encode()).hexdigest()
    return Corpus(b"".join(parts[False]), b"".join(parts[True]), fingerprint, len(files))


_ADVICE = (
    "the manifest pins CPython 3.11.7's library; with another Python set options.corpus = installed, "
    "which takes its files as they are and gives the run a fingerprint of its own"
)
