"""A RayCluster's spec, wherever it stands, with what its rules ask of it again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.kube.manifest import Object
from cluster.kube.rules.gates import DEFAULT_GATES, Gates
from cluster.kube.rules.reading import at, mapping, objects, text, variables

AUTOSCALER_V2 = "RAY_enable_autoscaler_v2"
RESTART_POLICIES = ("Always", "OnFailure", "Never")


@dataclass(frozen=True, slots=True)
class Group:
    """The head's or a worker group's part; ``path`` is its place below the spec."""

    path: str
    name: str
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return objects(at(self.spec, "template", "spec", "containers"))

    @property
    def container(self) -> Object:
        """The first one, which is Ray's; empty where there is none."""
        return next(iter(self.containers), {})

    @property
    def container_path(self) -> str:
        return f"{self.path}.template.spec.containers[0]"

    @property
    def env(self) -> dict[str, Object]:
        return variables(self.container.get("env"))

    @property
    def start_params(self) -> Object:
        return mapping(self.spec.get("rayStartParams"))

    @property
    def restart_policy(self) -> str:
        return text(at(self.spec, "template", "spec", "restartPolicy"))


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """``annotations`` are those of the object that holds the spec: RayCluster, RayJob or RayService."""

    spec: Object
    annotations: Mapping[str, str] = field(default_factory=dict)
    gates: Gates = DEFAULT_GATES

    @property
    def head(self) -> Group:
        return Group("headGroupSpec", "head", mapping(self.spec.get("headGroupSpec")))

    @property
    def workers(self) -> tuple[Group, ...]:
        return tuple(
            Group(f"workerGroupSpecs[{index}]", text(spec.get("groupName")), spec)
            for index, spec in enumerate(objects(self.spec.get("workerGroupSpecs")))
        )

    @property
    def ray_version(self) -> str:
        return text(self.spec.get("rayVersion"))

    @property
    def autoscaled(self) -> bool:
        return self.spec.get("enableInTreeAutoscaling") is True

    @property
    def autoscaler_version(self) -> str:
        return text(at(self.spec, "autoscalerOptions", "version"))

    @property
    def v2_by_env(self) -> bool:
        """The old way to ask for autoscaler v2, by the head's environment."""
        return self.head.env.get(AUTOSCALER_V2, {}).get("value") in ("1", "true")

    @property
    def has_v2(self) -> bool:
        return self.autoscaler_version == "v2" or self.v2_by_env

    @property
    def fault_tolerance(self) -> Object | None:
        """``gcsFaultToleranceOptions``; an empty one counts, too."""
        found = self.spec.get("gcsFaultToleranceOptions")
        return found if isinstance(found, dict) else None
