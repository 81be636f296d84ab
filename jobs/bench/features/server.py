"""A Valkey for the length of the benchmark."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values

from jobs.bench.children import clean_environment, free_port
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
            _local("up", state, "--parts", "redis", "--redis-port", str(free_port()))
            found = dotenv_values(state / "stack.env")
            address = urlsplit(found["TIDEGATE_REDIS_URL"] or "")
            password = quote(found["TIDEGATE_REDIS_PASSWORD"] or "", safe="")
            yield address._replace(netloc=f":{password}@{address.netloc}").geturl()
        finally:
            _local("down", state, "--purge")


def _local(verb: str, state: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "jobs.cli", "local", verb, "--state-dir", str(state), *arguments]
    try:
        subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{' '.join(command[1:])} ended with {error.returncode}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired as error:
        raise BenchError(str(error)) from None
