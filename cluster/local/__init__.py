"""The local stack: what a cluster would have, on 127.0.0.1 under one state folder, ended without a trace.

``up`` starts or adopts it, ``status`` looks at it, ``down`` ends it; ``tidegate local`` is the same on the
command line. A detached supervisor owns every process (``supervisor``), a reaper outlives it (``reaper``),
and an environment marker finds whatever is left (``processes``).

- For callers: ``config``, ``stack`` (a handle), ``reporter`` and ``report``, ``errors``.
- Start: ``launch`` starts the supervisor, ``startup`` the parts in order: ``programs``, ``environment``,
  ``redis_choice``, ``token``, ``gateway``, ``ray_node``.
- While it runs: ``health``, ``dashboard``, ``listeners``, ``backoff``. End: ``teardown``, ``interrupts``.
- Files: ``state`` is the folder, with ``records``, ``envfile`` and ``run_folder``.
"""

from cluster.local.config import ALL_PARTS, LocalConfig, Ports
from cluster.local.down import down
from cluster.local.errors import PortTakenError, StackError
from cluster.local.health import PartStatus
from cluster.local.reporter import Reporter
from cluster.local.stack import Stack
from cluster.local.status import status
from cluster.local.up import up

__all__ = [
    "ALL_PARTS",
    "LocalConfig",
    "PartStatus",
    "PortTakenError",
    "Ports",
    "Reporter",
    "Stack",
    "StackError",
    "down",
    "status",
    "up",
]
