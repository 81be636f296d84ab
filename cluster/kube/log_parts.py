"""Which pods and containers a PART of ``logs`` means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object
from cluster.kube.snapshot import CLUSTER_LABEL, PART_OF, PLATFORM

AUTOSCALER = "autoscaler"
"""The operator's name of the container beside the head's."""

OPERATOR = "operator"
OPERATOR_LABELS = "app.kubernetes.io/name=kuberay-operator"
COMPONENTS = ("mlflow", "redis")
FIXED = ("head", AUTOSCALER, *COMPONENTS, OPERATOR)

_COMPONENT = "app.kubernetes.io/component"
_GROUP = "ray.io/group"
_NODE_TYPE = "ray.io/node-type"


@dataclass(frozen=True, slots=True)
class Part:
    """What was asked for; ``None`` is all of the platform."""

    name: str | None

    @property
    def is_ray(self) -> bool:
        """Whether it may be a Ray node, whose processes log to files."""
        return self.name not in (AUTOSCALER, *COMPONENTS, OPERATOR)

    def container(self, pod: Object) -> str | None:
        """The container that the part means in ``pod``; ``None`` where the pod is none of it."""
        labels = pod["metadata"].get("labels") or {}
        containers = [each["name"] for each in pod["spec"]["containers"]]
        if self.name == AUTOSCALER:
            return AUTOSCALER if AUTOSCALER in containers else None
        if self.name is None:
            ours = labels.get(PART_OF) == PLATFORM or CLUSTER_LABEL in labels
        elif self.name == "head":
            ours = labels.get(_NODE_TYPE) == "head"
        elif self.name in COMPONENTS:
            ours = labels.get(_COMPONENT) == self.name
        elif self.name == OPERATOR:
            ours = True  # its pods were chosen by their labels
        else:
            ours = self.name in (labels.get(_GROUP), labels.get("job-name"), pod["metadata"]["name"])
        return containers[0] if ours else None  # Ray runs in the first one


def check_part(part: Part, pods: Sequence[Object]) -> None:
    """Refuse a part that means nothing among ``pods``.

    Raises:
        UsageError: the message says what there is.
    """
    if any(part.container(pod) for pod in pods):
        return
    groups = sorted({(pod["metadata"].get("labels") or {}).get(_GROUP) or "" for pod in pods} - {"", "headgroup"})
    names = sorted(pod["metadata"]["name"] for pod in pods)
    close = difflib.get_close_matches(part.name or "", [*FIXED, *groups, *names], n=1)
    meant = f"; did you mean {close[0]}?" if close and close[0] != part.name else ""
    raise UsageError(
        f"no pod is {part.name or 'of the platform'}{meant}\n"
        f"  parts: {', '.join([*FIXED, *groups])}\n  pods: {', '.join(names) or 'none'}"
    )


def short_name(pod: Object) -> str:
    """The pod's name without what all of them share: the cluster's name, the platform's."""
    name: str = pod["metadata"]["name"]
    cluster = (pod["metadata"].get("labels") or {}).get(CLUSTER_LABEL)
    for prefix in (cluster, PLATFORM):
        if prefix and name.startswith(f"{prefix}-"):
            return name.removeprefix(f"{prefix}-")
    return name
