"""The end of a stack, by its supervisor, its reaper, ``down`` or the next ``up``."""

from __future__ import annotations

from cluster.local import envfile
from cluster.local.processes import end
from cluster.local.records import Desired, Observed
from cluster.local.state import State


def finish(state: State, stack_id: str) -> int:
    """End what is left of the stack and take its addresses back. Returns how many processes were left.

    Idempotent, and silent about a folder that is gone or that belongs to a later stack.
    """
    left = end(stack_id)
    desired = Desired.read(state.desired_file)
    if desired is not None and desired.stack_id == stack_id:
        envfile.withdraw(state, own_redis=desired.redis_url is None)
        observed = Observed.read(state.observed_file)
        if observed is not None and observed.stack_id == stack_id:
            state.observed_file.unlink(missing_ok=True)
        state.desired_file.unlink(missing_ok=True)
    return left
