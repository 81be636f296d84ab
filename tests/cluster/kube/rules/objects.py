"""One good object of each of KubeRay's kinds, and changes to it by path."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from cluster.kube.manifest import Object

CONTAINER = {"name": "ray", "image": "tidegate:0.1.0"}
CLUSTER_SPEC: Object = {
    "rayVersion": "2.60.0",
    "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [CONTAINER]}}},
    "workerGroupSpecs": [
        {
            "groupName": "cpu",
            "minReplicas": 0,
            "maxReplicas": 4,
            "rayStartParams": {},
            "template": {"spec": {"containers": [CONTAINER]}},
        }
    ],
}
JOB_SPEC: Object = {"entrypoint": "python -m jobs.train", "rayClusterSpec": CLUSTER_SPEC}
SPECS: dict[str, Object] = {
    "RayCluster": CLUSTER_SPEC,
    "RayJob": JOB_SPEC,
    "RayService": {"rayClusterConfig": CLUSTER_SPEC},
    "RayCronJob": {"schedule": "0 3 * * *", "jobTemplate": JOB_SPEC},
}
GONE = object()
"""A change's value that takes the field away."""


def good(kind: str) -> Object:
    """No two parts of it are the same dict."""
    metadata = {"name": "tidegate", "namespace": "tidegate"}
    return {
        "apiVersion": "ray.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": json.loads(json.dumps(SPECS[kind])),
    }


def changed(obj: Object, changes: dict[str, Any]) -> Object:
    """``{"spec/workerGroupSpecs/0/minReplicas": 5}``; what is on the way is made, a list grows by one at its end."""
    for path, value in changes.items():
        *way, last = path.split("/")
        here: Any = obj
        for name, after in zip(way, [*way, last][1:], strict=True):
            empty: Any = [] if re.fullmatch("[0-9]+", after) else {}
            if isinstance(here, list):
                if int(name) == len(here):
                    here.append(empty)
                here = here[int(name)]
            else:
                here = here.setdefault(name.replace("~", "/"), empty)
        if value is GONE:
            del here[last]
        elif isinstance(here, list):
            here[int(last) : int(last) + 1] = [copy.deepcopy(value)]
        else:
            here[last.replace("~", "/")] = copy.deepcopy(value)
    return obj
