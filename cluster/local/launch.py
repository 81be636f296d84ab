"""The launcher's side of the supervisor: its start, and the pipe that ties a stack to a launcher."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster.local import processes
from cluster.local.records import Desired
from cluster.local.state import State

HEALTHY = b"healthy\n"
"""Written to the pipe: all parts are healthy, and the stack still ends with the pipe."""
RELEASE = b"release\n"
"""Written to the pipe: all parts are healthy, and the stack stays without its launcher."""


def spawn(state: State, desired: Desired) -> tuple[subprocess.Popen[bytes], int]:
    """Start the supervisor of ``desired``, already on disk. Returns it and the pipe that holds the stack."""
    read_end, write_end = os.pipe()
    environ = {**os.environ, processes.MARKER: desired.stack_id, processes.PART_MARKER: processes.SUPERVISOR}
    environ.pop("TIDEGATE_GATEWAY_ADMIN_KEY", None)
    command = [sys.executable, "-P", "-m", "cluster.local.supervisor", "--state-dir", str(state.root)]
    try:
        with state.log("supervisor").open("ab") as log:
            popen = subprocess.Popen(
                command, stdin=read_end, stdout=log, stderr=subprocess.STDOUT, env=environ, start_new_session=True
            )
    finally:
        os.close(read_end)
    return popen, write_end
