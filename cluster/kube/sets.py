"""Named values of ``--set``, turned into fields of a kustomization.

Anything else of an object is changed by a kustomization of one's own, which Kustomize itself checks.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object
from cluster.kube.namespaces import moves, pointer
from cluster.kube.reading import at, objects
from cluster.kube.variables import check_variable

SETTINGS = "tidegate-settings"
MLFLOW = "tidegate-mlflow"
IMAGE = "tidegate"
VARIABLES = ("TIDEGATE_", "RAY_")
ARTIFACTS = "MLFLOW_ARTIFACTS_DESTINATION"
FORMS = (
    "image=NAME@sha256:DIGEST, namespace=NAME, TIDEGATE_X=VALUE, RAY_X=VALUE, "
    f"{ARTIFACTS}=URL, GROUP.minReplicas=N and GROUP.maxReplicas=N (a worker group, or mlflow) and job=NAME "
    "(of a training job's RayJob) are accepted; anything else is a kustomization of your own, as in cluster/README.md"
)

_BOUND = re.compile(r"(?P<group>[A-Za-z0-9-]+)\.(?P<bound>minReplicas|maxReplicas)")
_GROUPS = {
    "RayCluster": ("spec", "workerGroupSpecs"),
    "RayService": ("spec", "rayClusterConfig", "workerGroupSpecs"),
    "RayJob": ("spec", "rayClusterSpec", "workerGroupSpecs"),
}
_HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")
"""The end that Kustomize appends to a generated name, after patches apply."""
_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_JOB_NAME = 47
"""KubeRay refuses a RayJob with a longer name."""


@dataclass(slots=True)
class Changes:
    """Fields of a kustomization that changes what it is given."""

    namespace: str | None = None
    images: list[dict[str, str]] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Returns the fields that are set."""
        found = {"namespace": self.namespace, "images": self.images, "patches": self.patches}
        return {name: value for name, value in found.items() if value}


def changes(
    sets: Sequence[str], rendered: Sequence[Object], warn: Callable[[str], None], namespace: str | None = None
) -> Changes:
    """Returns the changes that ``sets`` name, in their order, checked against the objects that they change.

    Raises:
        UsageError: a set has no known form, names what is not there, or has a value that is refused.
    """
    found = Changes(namespace=namespace and check_namespace(namespace))
    changed = copy.deepcopy(list(rendered))
    renames: list[dict[str, Any]] = []
    for text in sets:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set {text}: a value after = is missing; {FORMS}")
        if name == "image":
            _set_image(value, changed, found, warn)
        elif name == "namespace":
            if namespace not in (None, value):
                raise UsageError(f"--set namespace={value} and --namespace {namespace} contradict each other")
            found.namespace = check_namespace(value)
        elif name.startswith(VARIABLES):
            found.patches.append(_data(SETTINGS, name, value, changed))
            check_variable(name, value, _config_map(SETTINGS, changed)["data"])
        elif name == ARTIFACTS:
            if not re.match(r"[a-z0-9+.-]+:.|/", value):
                raise UsageError(f"--set {text}: an address such as s3://BUCKET/PATH is accepted")
            found.patches.append(_data(MLFLOW, name, value, changed))
        elif name == "job":
            renames.append(_rename_job(check_name(value, LONGEST_JOB_NAME), changed))
        elif match := _BOUND.fullmatch(name):
            found.patches += _set_bound(match["group"], match["bound"], value, changed)
        else:
            raise UsageError(f"--set {text}: {name!r} is no known form; {FORMS}")
    found.patches += renames  # last, so that every other patch finds the object by the manifests' name
    if found.namespace:
        found.patches[:0] = _moves(rendered, found.namespace)  # first, so that what was set stays
    return found


def check_namespace(name: str) -> str:
    """Returns ``name`` where it may be a namespace's.

    Raises:
        UsageError: it may not.
    """
    if not _NAMESPACE.fullmatch(name):
        raise UsageError(f"namespace {name!r}: small letters, digits and dashes are accepted, 63 at most")
    return name


def check_name(name: str, longest: int) -> str:
    """Returns ``name`` where it may be that of an object whose Services are named after it (DNS-1035).

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise UsageError(
            f"name {name!r}: a small letter, then small letters, digits and dashes are accepted, {longest} at most"
        )
    return name


def _moves(rendered: Sequence[Object], new: str) -> list[dict[str, Any]]:
    patches = []
    for old in sorted({obj["metadata"].get("namespace") or new for obj in rendered} - {new}):
        patches += [_patch(obj, operations) for obj in rendered if (operations := moves(obj, old, new))]
    return patches


def _data(config_map: str, key: str, value: str, changed: list[Object]) -> dict[str, Any]:
    """Returns the patch that sets a key of a ConfigMap."""
    obj = _config_map(config_map, changed)
    operations: list[dict[str, Any]] = []
    if not isinstance(obj.get("data"), dict):
        obj["data"] = {}
        operations.append({"op": "add", "path": "/data", "value": {}})
    obj["data"][key] = value
    return _patch(obj, [*operations, {"op": "add", "path": f"/data/{key}", "value": value}])


def _config_map(name: str, changed: list[Object]) -> Object:
    found = (obj for obj in changed if obj["kind"] == "ConfigMap" and _plain_name(obj) == name)
    if (obj := next(found, None)) is None:
        raise UsageError(f"--set: these manifests have no ConfigMap {name}, which holds this value")
    return obj


def _rename_job(name: str, changed: list[Object]) -> dict[str, Any]:
    jobs = [obj for obj in changed if obj["kind"] == "RayJob"]
    if len(jobs) != 1:
        raise UsageError(f"--set job={name}: one RayJob is needed, and these manifests have {len(jobs)}")
    patch = _patch(jobs[0], [{"op": "replace", "path": "/metadata/name", "value": name}])
    return {**patch, "options": {"allowNameChange": True}}  # Kustomize puts the old name back otherwise


def _set_bound(group: str, bound: str, value: str, changed: list[Object]) -> list[dict[str, Any]]:
    """Returns the patches of a bound of a worker group, or of MLflow's autoscaler.

    The API server does not compare the two bounds of a group, and the operator only after it has the object.
    """
    if not value.isdecimal():
        raise UsageError(f"--set {group}.{bound}={value}: a whole number from 0 on is accepted")
    places = [(obj, path, each) for obj in changed for path, name, each in _bounded(obj) if name == group]
    if not places:
        names = dict.fromkeys(name for obj in changed for _, name, _ in _bounded(obj))
        raise UsageError(
            f"--set {group}.{bound}: nothing is called {group!r}; there are {', '.join(names) or 'none'}"
        )
    patches = []
    for obj, path, holder in places:
        operation = "replace" if bound in holder else "add"
        holder[bound] = int(value)
        low, high = holder.get("minReplicas", 0), holder.get("maxReplicas")
        if high is not None and low > high:
            raise UsageError(f"--set {group}.{bound}={value}: minReplicas {low} is more than maxReplicas {high}")
        patches.append(_patch(obj, [{"op": operation, "path": pointer(*path, bound), "value": int(value)}]))
    return patches


def _bounded(obj: Object) -> Iterator[tuple[tuple[str, ...], str, Object]]:
    """Yields the path, the name and the fields of everything in ``obj`` that has bounds of replicas."""
    if obj["kind"] == "HorizontalPodAutoscaler":
        yield ("spec",), obj["metadata"]["name"].removeprefix("tidegate-"), obj["spec"]
    path = _GROUPS.get(obj["kind"], ())
    for index, group in enumerate(objects(at(obj, *path)) if path else ()):
        yield (*path, str(index)), str(group.get("groupName")), group


def _set_image(value: str, changed: list[Object], found: Changes, warn: Callable[[str], None]) -> None:
    match = _IMAGE.fullmatch(value)
    if match is None or not (match["tag"] or match["digest"]):
        raise UsageError(f"--set image={value}: NAME@sha256: and 64 hexadecimal digits, or NAME:TAG, is accepted")
    if match["tag"] == "latest":
        raise UsageError(f"--set image={value}: the tag latest names another image tomorrow; give a digest")
    if not match["digest"]:
        warn(f"image {value} is named by a tag, which can be moved; images by digest (NAME@sha256:…) cannot")
    places = [(obj, *place) for obj in changed for place in _images(obj)]
    names = sorted({name for _, _, name in places})
    if IMAGE not in names and len(names) != 1:
        raise UsageError(
            f"--set image={value}: no container's image is called {IMAGE!r}, which it would replace; "
            f"there are {', '.join(names) or 'none'}"
        )
    replaced = IMAGE if IMAGE in names else names[0]
    new = {"digest": match["digest"]} if match["digest"] else {"newTag": match["tag"]}
    found.images = [{"name": replaced, "newName": match["name"], **new}]
    # Kustomize knows containers at any depth, but not an image that is a field of its own (an autoscaler's).
    for obj, path, name in places:
        if name == replaced and path[-3:-2] not in (("containers",), ("initContainers",)):
            found.patches.append(_patch(obj, [{"op": "replace", "path": pointer(*path), "value": value}]))


def _images(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields the path and the name, without tag and digest, of every image."""
    if isinstance(value, list):
        value = {str(index): each for index, each in enumerate(value)}
    for key, each in value.items() if isinstance(value, dict) else ():
        if key == "image" and isinstance(each, str):
            folder, slash, last = each.partition("@")[0].rpartition("/")  # a port before the slash is no tag
            yield (*path, key), folder + slash + last.partition(":")[0]
        else:
            yield from _images(each, (*path, key))


def _plain_name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return _HASH.sub("", name) if obj["kind"] in ("ConfigMap", "Secret") else name


def _patch(obj: Object, operations: list[dict[str, Any]]) -> dict[str, Any]:
    # A target's name is a regular expression.
    target = {"kind": obj["kind"], "name": re.escape(_plain_name(obj)).replace("\\-", "-")}
    # JSON, which is YAML that reads alike in PyYAML and in Go: 1e3 as text would come back a number.
    return {"target": target, "patch": json.dumps(operations)}
