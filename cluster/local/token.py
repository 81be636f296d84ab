"""Ray's token: its file, made where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster.local.errors import StackError


def token_file() -> Path:
    """Returns the file that Ray reads, in its own order after ``RAY_AUTH_TOKEN``."""
    chosen = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(chosen).expanduser() if chosen else Path.home() / ".ray" / "auth_token"


def read_token() -> str | None:
    """Returns the token in force on this machine, or ``None``."""
    from_environment = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if from_environment:
        return from_environment
    try:
        return token_file().read_text().strip() or None
    except FileNotFoundError:
        return None


def ensure_token() -> None:
    """Have Ray make a token where there is none, readable by this user only.

    Raises:
        StackError: ``RAY_AUTH_TOKEN_PATH`` names a file without a token.
    """
    if read_token():
        return
    path = token_file()
    if os.environ.get("RAY_AUTH_TOKEN_PATH"):
        raise StackError(f"RAY_AUTH_TOKEN_PATH={path} holds no token; unset it or write one.")
    before = os.umask(0o077)
    try:
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "get-auth-token", "--generate"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.umask(before)
    if made.returncode or not read_token():
        raise StackError(f"Ray could not make a token in {path}: {made.stderr.strip()[-300:]}")
    path.chmod(0o600)
