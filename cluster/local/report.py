"""Lines that the command line prints while a stack starts and once it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.text import Text

from app.terminal import Progress
from cluster.local.reporter import Reporter
from cluster.local.stack import Stack
from cluster.local.token import token_file

REMIND_S = 15.0
"""Seconds between two lines, in a log, about what is waited for."""


class ConsoleReporter(Reporter):
    """Prints one line per part, and what is waited for as progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = self._reminded_at = time.monotonic()

    def note(self, text: str) -> None:
        self._progress.say(text)

    def ready(self, part: str, address: str, seconds: float, version: str) -> None:
        self._progress.say(
            Text.assemble(("healthy", "green"), f"  {part:11} {address}  {seconds:.1f} s  {version}".rstrip())
        )

    def waiting(self, parts: Mapping[str, str]) -> None:
        now = time.monotonic()
        if self._progress.is_live:
            self._progress.show(f"waiting for {', '.join(parts)} ({now - self._began:.0f} s)")
        elif now - self._reminded_at >= REMIND_S:
            self._reminded_at = now
            for part, detail in parts.items():
                self.note(f"waiting for {part} ({now - self._began:.0f} s): {detail}")


def describe(stack: Stack, *, foreground: bool) -> None:
    """Print how to use the stack."""
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
    lines.append(("look", f"tidegate local status{folder}"))
    lines.append(("stop", "Ctrl-C" if foreground else f"tidegate local down{folder}"))
    for name, text in lines:
        print(f"{name + ':':11}{text}", flush=True)
