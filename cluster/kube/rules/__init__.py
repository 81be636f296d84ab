"""The rules that KubeRay keeps in its operator, checked before anything is sent.

The API server knows only the CRDs' schemas: what breaks one of these rules is stored, a Warning event follows, and
nothing happens. One file per subject; ``judge.py`` puts them together.
"""

from cluster.kube.rules.gates import Gates, read_gates
from cluster.kube.rules.judge import violations, warnings
from cluster.kube.rules.violation import Violation

__all__ = ["Gates", "Violation", "read_gates", "violations", "warnings"]
