"""Measurement during a release, behind the reply: the ``observer`` turns request records into samples, the ``mirror``
has the challenger answer what the champion answered, unseen by callers; ``losses`` are the numbers of both.
"""

from app.gateway.shadow.mirror import Mirror, MirrorStats
from app.gateway.shadow.observer import Observer

__all__ = ["Mirror", "MirrorStats", "Observer"]
