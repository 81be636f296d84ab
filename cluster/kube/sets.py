"""``--set``: what is changed of the manifests, turned into what Kustomize does about it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster.kube import pointers
from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object
from cluster.kube.namespaces import moves
from cluster.kube.variables import check_variable

SETTINGS = "tidegate-settings"
IMAGE = "tidegate"
VARIABLES = ("TIDEGATE_", "RAY_")
TEXTS = {"ConfigMap": ("data",), "Secret": ("data", "stringData")}
"""Maps whose values are text, whatever they look like: the API server refuses others."""
FORMS = (
    "image=NAME@sha256:DIGEST, namespace=NAME, TIDEGATE_X=VALUE, RAY_X=VALUE and KIND/NAME:/json/pointer=VALUE "
    "are accepted"
)

_FIELD = re.compile(r"(?P<kind>[A-Za-z]+)/(?P<name>[A-Za-z0-9.:-]+):(?P<pointer>/[^=]*)")
_HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")  # what Kustomize appends to a generated name
_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_ANY_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(slots=True)
class Changes:
    """Fields of a kustomization that changes what it is given."""

    namespace: str | None = None
    images: list[dict[str, str]] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Those that are set."""
        found = {"namespace": self.namespace, "images": self.images, "patches": self.patches}
        return {name: value for name, value in found.items() if value}


def changes(
    sets: Sequence[str], objects: Sequence[Object], warn: Callable[[str], None], namespace: str | None = None
) -> Changes:
    """What ``sets`` ask for, in their order, checked against the ``objects`` that they change.

    A field set first may be the parent of one set later.

    Raises:
        UsageError: a set has no known form, names what is not there, or has a value that is refused.
    """
    found = Changes(namespace=namespace and check_namespace(namespace))
    changed = copy.deepcopy(list(objects))
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
            _set_variable(name, value, changed, found)
        elif match := _FIELD.fullmatch(name):
            obj = _object(match["kind"], match["name"], changed)
            pointer, key = match["pointer"], _key_of_text(obj, match["pointer"])
            if pointer == "/metadata/name":
                renames.append(_rename(obj, value))
            elif pointer == "/kind":
                raise UsageError(f"--set {text}: an object's kind stays; its name and its other fields can be set")
            elif key and obj["kind"] == "ConfigMap" and _plain(obj) == SETTINGS and key.startswith(VARIABLES):
                _set_variable(key, _unquoted(value), changed, found)
            else:
                content = _unquoted(value) if key else typed(value)
                found.patches.append(_patch(obj, [pointers.set_value(obj, pointer, content)]))
        else:
            raise UsageError(f"--set {text}: {name!r} is no known form; {FORMS}")
    found.patches += renames  # last, so that every --set names an object as the manifests do
    if found.namespace:
        found.patches[:0] = _moves(objects, found.namespace)  # first, so that what was set stays
    return found


def _rename(obj: Object, name: str) -> dict[str, Any]:
    if not _ANY_NAME.fullmatch(name):
        raise UsageError(f"name {name!r}: small letters, digits, dashes and dots are accepted, 253 at most")
    patch = _patch(obj, [{"op": "replace", "path": "/metadata/name", "value": name}])
    return {**patch, "options": {"allowNameChange": True}}  # Kustomize puts the old name back otherwise


def _moves(objects: Sequence[Object], new: str) -> list[dict[str, Any]]:
    patches = []
    for old in sorted({obj["metadata"].get("namespace") or new for obj in objects} - {new}):
        patches += [_patch(obj, operations) for obj in objects if (operations := moves(obj, old, new))]
    return patches


def check_namespace(name: str) -> str:
    """``name``, which may be a namespace's.

    Raises:
        UsageError: it may not.
    """
    if not _NAMESPACE.fullmatch(name):
        raise UsageError(f"namespace {name!r}: small letters, digits and dashes are accepted, 63 at most")
    return name


def check_name(name: str, longest: int) -> str:
    """``name``, which may be an object's that gives its name to services (DNS-1035).

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise UsageError(
            f"name {name!r}: a small letter, then small letters, digits and dashes are accepted, {longest} at most"
        )
    return name


def typed(text: str) -> Any:
    """The value of YAML text by the core schema of YAML 1.2: ``on`` and ``12:30`` stay text.

    Raises:
        UsageError: it is no YAML.
    """
    try:
        return yaml.load(text, Loader=_CoreLoader)  # noqa: S506  (a SafeLoader with fewer types)
    except yaml.YAMLError as error:
        raise UsageError(f"{text!r} is no YAML: {' '.join(str(error).split())}") from None


def _key_of_text(obj: Object, pointer: str) -> str | None:
    tokens = pointers.split(pointer)
    return tokens[1] if len(tokens) == 2 and tokens[0] in TEXTS.get(obj["kind"], ()) else None


def _unquoted(text: str) -> str:
    """The text as it is, but for YAML's quotes around it, which were needed to keep ``5`` from being a number."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return str(typed(text)) if quoted else text


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (as the base declares it)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+][0-9]+)", "-+.0123456789"),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))


def _set_image(value: str, objects: list[Object], found: Changes, warn: Callable[[str], None]) -> None:
    match = _IMAGE.fullmatch(value)
    if match is None or not (match["tag"] or match["digest"]):
        raise UsageError(f"--set image={value}: NAME@sha256: and 64 hexadecimal digits, or NAME:TAG, is accepted")
    if match["tag"] == "latest":
        raise UsageError(f"--set image={value}: the tag latest names another image tomorrow; give a digest")
    if not match["digest"]:
        warn(f"image {value} is named by a tag, which can be moved; images by digest (NAME@sha256:…) cannot")
    places = [place for obj in objects for place in _images(obj)]
    names = sorted({place.name for place in places})
    if IMAGE not in names and len(names) != 1:
        raise UsageError(
            f"--set image={value}: no container's image is called {IMAGE!r}, which it would replace; "
            f"there are {', '.join(names) or 'none'}"
        )
    replaced = IMAGE if IMAGE in names else names[0]
    new = {"newName": match["name"]}
    if match["digest"]:
        new["digest"] = match["digest"]
    else:
        new["newTag"] = match["tag"]
    found.images = [{"name": replaced, **new}]
    # Kustomize knows containers at any depth, but not an image that is a field of its own (an autoscaler's).
    for obj in objects:
        operations = [
            {"op": "replace", "path": pointers.join(place.path), "value": value}
            for place in _images(obj)
            if place.name == replaced and not place.in_container
        ]
        if operations:
            found.patches.append(_patch(obj, operations))


@dataclass(frozen=True, slots=True)
class _Image:
    path: list[str]
    name: str

    @property
    def in_container(self) -> bool:
        return len(self.path) >= 3 and self.path[-3] in ("containers", "initContainers")


def _images(value: Any, path: tuple[str, ...] = ()) -> Iterator[_Image]:
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        children = [(str(index), each) for index, each in enumerate(value)]
    for key, each in children:
        if key == "image" and isinstance(each, str):
            name = each.partition("@")[0]
            tagged = name.rpartition("/")[2].partition(":")  # a port before the slash is no tag
            yield _Image([*path, key], name.removesuffix(tagged[1] + tagged[2]) if tagged[1] else name)
        else:
            yield from _images(each, (*path, key))


def _set_variable(name: str, value: str, objects: list[Object], found: Changes) -> None:
    obj = _object("ConfigMap", SETTINGS, objects)
    data = obj.get("data")
    operations: list[dict[str, Any]] = []
    if not isinstance(data, dict):
        data = obj["data"] = {}
        operations.append({"op": "add", "path": "/data", "value": {}})
    data[name] = value
    check_variable(name, value, data)
    found.patches.append(_patch(obj, [*operations, {"op": "add", "path": f"/data/{name}", "value": value}]))


def _object(kind: str, name: str, objects: list[Object]) -> Object:
    kinds = sorted({obj["kind"] for obj in objects})
    known = next((each for each in kinds if each.lower() == kind.lower()), None)
    if known is None:
        raise UsageError(f"--set {kind}/{name}: no object is a {kind}; there are {', '.join(kinds) or 'none'}")
    same = [obj for obj in objects if obj["kind"] == known]
    for obj in same:
        if name in (obj["metadata"]["name"], _plain(obj)):
            return obj
    raise UsageError(f"--set {kind}/{name}: there are {known} {', '.join(obj['metadata']['name'] for obj in same)}")


def _plain(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return _HASH.sub("", name) if obj["kind"] in ("ConfigMap", "Secret") else name


def _patch(obj: Object, operations: list[dict[str, Any]]) -> dict[str, Any]:
    # A target's name is a regular expression, and the hash of a generated name is not there yet when patches apply.
    target = {"kind": obj["kind"], "name": re.escape(_plain(obj)).replace("\\-", "-")}
    # JSON, which is YAML that reads alike in PyYAML and in Go: 1e3 as text would come back a number.
    return {"target": target, "patch": json.dumps(operations)}
