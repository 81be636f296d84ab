"""The lock of a run: one driver has it at a time."""

from __future__ import annotations

import time
from typing import Any

from app.errors import FailedPreconditionError
from app.training.driver.monitor import start_monitor
from app.training.storage.run_folder import RunFolder

TAKEN_TIMEOUT_S = 20.0
"""Time that the monitor of a driver that was just killed may take to disappear."""


class RunTakenError(FailedPreconditionError):
    """The same run is going on already on this cluster."""


def acquire_run(folder: RunFolder) -> Any:
    """Starts the run's monitor actor, of which there is one: the driver that has it has the run.

    Raises:
        RunTakenError: another driver has it, and keeps it for ``TAKEN_TIMEOUT_S``.
    """
    name = folder.url.rsplit("/", 1)[-1]
    deadline = time.monotonic() + TAKEN_TIMEOUT_S
    while True:
        try:
            return start_monitor(name)
        except ValueError:
            if time.monotonic() > deadline:
                raise RunTakenError(
                    f"the run {name} is going on already on this cluster: follow or stop that job, or change the "
                    "configuration (another seed makes it another run)"
                ) from None
            time.sleep(0.5)
