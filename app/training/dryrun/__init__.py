"""What a run would need, found out without running it: real cuts of the model on the meta device, and formulas for
what only a run would show."""

from app.training.dryrun.estimate import Estimate, RankMemory, estimate
from app.training.dryrun.room import memory_errors

__all__ = ["Estimate", "RankMemory", "estimate", "memory_errors"]
