"""A Valkey for the length of the benchmark."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values

from jobs.bench.harness import BenchError

TIMEOUT_S = 60.0


@contextmanager
def valkey() -> Iterator[str]:
    """The address, with password, of a server that ends with the block.

    Raises:
        BenchError: it does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        try:
            _local("up", state, "--parts", "redis", "--redis-port", str(_free_port()))
            found = dotenv_values(state / "stack.env")
            address = urlsplit(found["TIDEGATE_REDIS_URL"] or "")
            password = quote(found["TIDEGATE_REDIS_PASSWORD"] or "", safe="")
            yield address._replace(netloc=f":{password}@{address.netloc}").geturl()
        finally:
            _local("down", state, "--purge")


def _local(verb: str, state: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "jobs.cli", "local", verb, "--state-dir", str(state), *arguments]
    # A stack of its own: not the Redis, and not the folder, that the caller's shell names.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    try:
        subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{' '.join(command[1:])} ended with {error.returncode}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired as error:
        raise BenchError(str(error)) from None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
