"""Memory that a run would need, found without running it. ``tidegate train --dry-run`` calls it.

``held`` makes the real cuts of the model on the meta device (``__main__`` is its process); ``activations``,
``gathered``, ``saved`` and ``flight`` count what only a run would show; ``estimate`` adds up; ``room`` compares with
a device.
"""

from app.training.dryrun.estimate import Estimate, RankMemory, estimate
from app.training.dryrun.room import memory_errors

__all__ = ["Estimate", "RankMemory", "estimate", "memory_errors"]
