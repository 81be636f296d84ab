"""Custom resources held against their CRD as an API server does it: structural schema, list keys, CEL rules.

The order is the server's: nulls go where there is a default, defaults are filled in, the schema is checked with every
object closed against fields it does not name (``fieldValidation=Strict``, and what server-side apply does anyway),
then the keys of lists, then the rules of ``x-kubernetes-validations``. Rules that compare with the stored object
(``oldSelf``) need one, so they are left out: :meth:`Crd.transition_rules` names them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import celpy
import jsonschema
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

Schema = dict[str, Any]
JsonPath = tuple[str | int, ...]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_RESERVED = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"}
_RESERVED |= {"import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


class Crd:
    """One CustomResourceDefinition, given as the object it is."""

    def __init__(self, definition: dict[str, Any]) -> None:
        names = definition["spec"]["names"]
        self.kind: str = names["kind"]
        self.group: str = definition["spec"]["group"]
        self._schemas: dict[str, Schema] = {
            version["name"]: version["schema"]["openAPIV3Schema"] for version in definition["spec"]["versions"]
        }
        self._validators: dict[str, jsonschema.Draft7Validator] = {}

    def errors(self, obj: dict[str, Any]) -> list[str]:
        """Refusals of an API server for ``obj``, each as ``path: reason``; empty where it accepts it."""
        group, _, version = obj["apiVersion"].rpartition("/")
        if group != self.group or version not in self._schemas:
            return [f"apiVersion: {obj['apiVersion']} is not of {self.group} ({', '.join(self._schemas)})"]
        schema = self._schemas[version]
        whole = _defaulted(schema, copy.deepcopy(obj))
        found = [*_metadata(whole.get("metadata"))]
        for error in self._validator(version).iter_errors(whole):
            found += [f"{_text(tuple(error.absolute_path))}: {error.message[:300]}"]
        found += _repeated(schema, whole, ())
        return found or list(_broken_rules(schema, whole, ()))

    def transition_rules(self) -> list[str]:
        """The rules that compare with the stored object and are not checked here, as ``version path: rule``."""
        return [
            f"{version} {_text(path)}: {rule}"
            for version, schema in self._schemas.items()
            for path, rule in _rules_with_old_self(schema, ())
        ]

    def rules(self) -> list[str]:
        """The rules that are checked, one by one, repeated where they are written repeatedly."""
        return [
            entry["rule"]
            for schema in self._schemas.values()
            for entry in _all_rules(schema)
            if not _transition(entry)
        ]

    def _validator(self, version: str) -> jsonschema.Draft7Validator:
        if version not in self._validators:
            closed = _closed(self._schemas[version])
            closed["properties"] |= {
                "apiVersion": {"type": "string"},
                "kind": {"const": self.kind},
                "metadata": {"type": "object"},  # checked by _metadata
            }
            self._validators[version] = jsonschema.Draft7Validator(closed)
        return self._validators[version]


def load(folder: Path) -> dict[tuple[str, str], Crd]:
    """The definitions of a folder of JSON files, by group and kind."""
    found = (Crd(json.loads(file.read_text())) for file in sorted(folder.glob("*.json")))
    return {(crd.group, crd.kind): crd for crd in found}


def _closed(schema: Schema) -> Schema:
    """The structural part of a schema in terms of JSON Schema, every object closed."""
    closed = {
        name: value for name, value in schema.items() if not name.startswith("x-kubernetes-") and name != "default"
    }
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
        closed["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("format") in _RANGES and schema.get("type") == "integer":
        low, high = _RANGES[schema["format"]]
        closed["minimum"] = max(low, schema.get("minimum", low))
        closed["maximum"] = min(high, schema.get("maximum", high))
    if schema.get("type") == "object":
        closed["properties"] = {name: _closed(each) for name, each in schema.get("properties", {}).items()}
        if isinstance(schema.get("additionalProperties"), dict):
            closed["additionalProperties"] = _closed(schema["additionalProperties"])
        elif "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        closed["items"] = _closed(schema["items"])
    if schema.get("nullable"):
        closed = {"anyOf": [{"type": "null"}, closed]}
    return closed


def _defaulted(schema: Schema, value: Any) -> Any:
    """``value`` with the schema's defaults, in place."""
    if isinstance(value, dict):
        for name, each in schema.get("properties", {}).items():
            if name in value and value[name] is None and "default" in each and not each.get("nullable"):
                del value[name]
            if name not in value and "default" in each:
                value[name] = copy.deepcopy(each["default"])
            if name in value:
                value[name] = _defaulted(each, value[name])
        if isinstance(schema.get("additionalProperties"), dict):
            for name, each in value.items():
                value[name] = _defaulted(schema["additionalProperties"], each)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        value[:] = [_defaulted(schema["items"], each) for each in value]
    return value


def _children(schema: Schema, value: Any) -> Iterator[tuple[str | int, Schema, Any]]:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name, each in value.items():
            if name in properties:
                yield name, properties[name], each
            elif isinstance(others, dict):
                yield name, others, each
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, each in enumerate(value):
            yield index, schema["items"], each


def _metadata(metadata: Any) -> Iterator[str]:
    if not isinstance(metadata, dict):
        yield "metadata: an object is needed"
        return
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 253:
        yield f"metadata.name: {name!r} is no DNS-1123 subdomain"
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            if not isinstance(value, str):
                yield f"metadata.{field}[{key}]: {value!r} is not text"
            elif field == "labels" and not _LABEL.fullmatch(value):
                yield f"metadata.labels[{key}]: {value!r} is no label value"


def _repeated(schema: Schema, value: Any, path: JsonPath) -> Iterator[str]:
    if isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys")
        if schema.get("x-kubernetes-list-type") == "map" and keys:
            identities = [tuple(each.get(key) for key in keys) for each in value if isinstance(each, dict)]
        elif schema.get("x-kubernetes-list-type") == "set":
            identities = [(json.dumps(each, sort_keys=True),) for each in value]
        else:
            identities = []
        for index, identity in enumerate(identities):
            if identity in identities[:index]:
                yield f"{_text((*path, index))}: duplicate value {identity}"
    for name, child, each in _children(schema, value):
        yield from _repeated(child, each, (*path, name))


def _broken_rules(schema: Schema, value: Any, path: JsonPath) -> Iterator[str]:
    for entry in schema.get("x-kubernetes-validations", []):
        if _transition(entry):
            continue
        try:
            holds = bool(_program(entry["rule"]).evaluate({"self": _cel(schema, value)}))
        except CELEvalError as error:
            yield f"{_text(path)}: the rule {entry['rule']} cannot be evaluated: {error}"
            continue
        if not holds:
            yield f"{_text(path)}: {entry.get('message') or entry['rule']}"
    for name, child, each in _children(schema, value):
        yield from _broken_rules(child, each, (*path, name))


@cache
def _program(rule: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule))


def _cel(schema: Schema, value: Any) -> Any:
    """``value`` for CEL: fields that the schema names get their escaped names, keys of maps stay."""
    return json_to_cel(_escaped(schema, value))


def _escaped(schema: Schema, value: Any) -> Any:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        return {
            _escape(name) if name in properties else name: _escaped(
                properties.get(name) or (others if isinstance(others, dict) else {}), each
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_escaped(schema.get("items") or {}, each) for each in value]
    return value


def _escape(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    return re.sub("__|[./-]", lambda found: _ESCAPES[found.group()], name)


def _transition(entry: dict[str, Any]) -> bool:
    return "oldSelf" in entry["rule"]


def _all_rules(schema: Any) -> Iterator[dict[str, Any]]:
    for _, entry in _rules_at(schema, ()):
        yield entry


def _rules_with_old_self(schema: Schema, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    for where, entry in _rules_at(schema, path):
        if _transition(entry):
            yield where, entry["rule"]


def _rules_at(schema: Schema, path: JsonPath) -> Iterator[tuple[JsonPath, dict[str, Any]]]:
    for entry in schema.get("x-kubernetes-validations", []):
        yield path, entry
    for name, child in schema.get("properties", {}).items():
        yield from _rules_at(child, (*path, name))
    for field, step in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(field), dict):
            yield from _rules_at(schema[field], (*path, step))


def _text(path: JsonPath) -> str:
    return ".".join(str(part) for part in path) or "(the object)"
