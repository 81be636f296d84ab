"""Readiness of an object, read from its conditions, its observed generation, its status and the events about it.

``conditions`` holds the result and the helpers that quote conditions, ``pods`` and ``ray`` the rules with causes
of their own, ``warning_events`` the events, ``kinds`` the table of all rules. All of it is pure;
``cluster.kube.snapshot`` calls it.
"""

from cluster.kube.readiness.conditions import Readiness, Related, State
from cluster.kube.readiness.kinds import readiness
from cluster.kube.readiness.warning_events import WarningEvent, newest, warning_events

__all__ = ["Readiness", "Related", "State", "WarningEvent", "newest", "readiness", "warning_events"]
