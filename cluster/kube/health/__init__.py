"""How an object is, read from its conditions, its observed generation, its status and what happened around it."""

from cluster.kube.health.events import Event, newest, warnings
from cluster.kube.health.judge import health
from cluster.kube.health.verdict import Health, Related, State

__all__ = ["Event", "Health", "Related", "State", "health", "newest", "warnings"]
