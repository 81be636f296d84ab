"""What the command line shows while a stack starts and once it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cluster.local.progress import Progress
from cluster.local.stack import Stack
from cluster.local.token import token_file

REMIND_S = 15.0


class ConsoleProgress(Progress):
    """One line per part; what is waited for as a spinner, or every 15 s as a line where there is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._began = time.monotonic()
        self._reminded = self._began

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def note(self, text: str) -> None:
        self._console.print(escape(text))

    def ready(self, part: str, address: str, seconds: float, version: str) -> None:
        self._console.print(f"[green]healthy[/]  {part:11} {escape(address)}  {seconds:.1f} s  {escape(version)}")

    def waiting(self, parts: Mapping[str, str]) -> None:
        now = time.monotonic()
        if self._status is not None:
            self._status.update(f"waiting for {', '.join(parts)} ({now - self._began:.0f} s)")
        elif now - self._reminded >= REMIND_S:
            self._reminded = now
            for part, detail in parts.items():
                self.note(f"waiting for {part} ({now - self._began:.0f} s): {detail}")


def describe(stack: Stack, *, foreground: bool) -> None:
    """Say how to use the stack."""
    found = stack.environment
    folder = f" --state-dir {stack.state_dir}"
    lines = [("state", str(stack.state_dir))]
    if url := found.get("TIDEGATE_GATEWAY_URL"):
        lines.append(("gateway", f"{url}  (API docs {url}/docs, admin key in {stack.env_file})"))
    if url := found.get("TIDEGATE_GATEWAY_GRPC_URL"):
        lines.append(("gRPC", url))
    if url := found.get("TIDEGATE_RAY_DASHBOARD_URL"):
        lines.append(("dashboard", f"{url}  (asks for the token: paste the content of {token_file()})"))
        lines.append(("job", f"RAY_AUTH_MODE=token ray job submit --address {url} -- python -m jobs.NAME"))
        lines.append(("driver", f"set -a; . {stack.env_file}; set +a  (then ray.init() and ray status find it)"))
    if url := found.get("TIDEGATE_MLFLOW_TRACKING_URI"):
        lines.append(("MLflow", url))
    if url := found.get("TIDEGATE_REDIS_URL"):
        lines.append(("Redis", url))
    lines.append(("logs", f"{stack.state_dir}/logs"))
    lines.append(("look", f"python -m cluster local status{folder}"))
    lines.append(("stop", "Ctrl-C" if foreground else f"python -m cluster local down{folder}"))
    for name, text in lines:
        print(f"{name + ':':11}{text}", file=sys.stdout)
    sys.stdout.flush()
