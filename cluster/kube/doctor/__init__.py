"""A look at a cluster before anything is sent to it: what an overlay needs, what is there, and what to do about it.

``gather.py`` asks the API server, ``facts.py`` says what was seen, ``checks/`` judges it without asking any more.
"""

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.examine import examine

__all__ = ["Check", "examine"]
