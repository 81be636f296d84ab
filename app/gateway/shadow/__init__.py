"""What a gateway replica does beside answering while a release is under way: it measures, and it mirrors.

``Observer`` is told of every request to the model; all of it comes after the reply.
"""

from app.gateway.shadow.mirror import Mirror, MirrorStats
from app.gateway.shadow.observer import Observer

__all__ = ["Mirror", "MirrorStats", "Observer"]
