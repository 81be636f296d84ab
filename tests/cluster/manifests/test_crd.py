"""The CRD validator against what a real API server took and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.cluster.recordings import CRDS, TRANSCRIPTS
from tests.support.crd import Crd, _program, load

LENIENT = {
    "unknown fields, fieldValidation=default (Warn) [POST]: 201",
    "unknown fields, fieldValidation=Ignore [POST]: 201",
    "unknown fields, fieldValidation=Warn [POST]: 201",
    "null for template.metadata [POST]: 201",
}
"""Taken by a plain POST (unknown fields dropped), refused by the apply of the same object, which is what we do."""
NOT_OF_THE_OBJECT = {
    "duplicate field, Strict [POST]: 400",  # of the JSON text
    "bad value of fieldValidation: 422",  # of the request
}


def recorded(file: str) -> list[tuple[str, dict[str, Any], int]]:
    """Note, object and status of the requests that carry a whole object of KubeRay's, in order."""
    found = []
    for each in json.loads((TRANSCRIPTS / file).read_text())["exchanges"]:
        request, status = each["request"], each["response"]["status"]
        kind_of_request = request["headers"].get("Content-Type", request["headers"].get("content-type", ""))
        whole = request["method"] == "POST" or "apply-patch" in kind_of_request
        body = request.get("body")
        if whole and "/apis/ray.io/v1/" in request["path"] and body is not None:
            obj = yaml.safe_load(body) if isinstance(body, str) else body
            found.append((each["note"], obj, status))
    return found


@pytest.fixture(scope="module")
def crds() -> dict[tuple[str, str], Crd]:
    return load(CRDS)


def errors(crds: dict[tuple[str, str], Crd], obj: dict[str, Any]) -> list[str]:
    return crds["ray.io", obj["kind"]].errors(obj)


def test_validator_agrees_with_the_recorded_server(crds: dict[tuple[str, str], Crd]) -> None:
    exchanges = [each for each in recorded("06_validation.json") if each[0] not in LENIENT | NOT_OF_THE_OBJECT]
    transitions = [note for note, _, _ in exchanges if note.startswith("CEL on update")]
    covered = [each for each in exchanges if each[0] not in transitions]
    wrong = {note: errors(crds, obj) for note, obj, status in covered if bool(errors(crds, obj)) != (status >= 400)}
    assert wrong == {}
    assert len(covered) == 76
    assert sum(status >= 400 for _, _, status in covered) == 54


def test_what_only_a_lenient_post_takes_is_refused(crds: dict[tuple[str, str], Crd]) -> None:
    lenient = {note: obj for note, obj, _ in recorded("06_validation.json") if note in LENIENT}
    assert lenient.keys() == LENIENT
    assert all(errors(crds, obj) for obj in lenient.values())


def test_what_only_the_operator_refuses_is_taken(crds: dict[tuple[str, str], Crd]) -> None:
    judged = recorded("10_operator_warnings.json")
    assert len(judged) > 50
    assert [note for note, obj, status in judged if bool(errors(crds, obj)) != (status >= 400)] == []


def test_every_rule_of_every_definition_compiles(crds: dict[tuple[str, str], Crd]) -> None:
    rules = {rule for crd in crds.values() for rule in crd.rules()}
    for rule in rules:
        _program(rule)
    assert len(rules) > 80


def test_rules_on_updates_are_named(crds: dict[tuple[str, str], Crd]) -> None:
    named = crds["ray.io", "RayCluster"].transition_rules()
    assert "v1 spec.managedBy: self == oldSelf" in named
    assert all("oldSelf" in each for each in named)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"entries": [{"name": "a"}, {"name": "a"}]}, "duplicate value"),
        ({"entries": [{"name": "a", "namespace": "b"}]}, "no namespace please"),
        ({"count": 2**31}, "maximum"),
        ({"maybe": None}, None),
        ({"count": None}, None),
        ({"size": 3}, None),
        ({"size": []}, "not valid under any"),
        ({"free": {"what": "ever"}}, None),
    ],
)
def test_parts_of_the_validator(spec: dict[str, Any], reason: str | None) -> None:
    entry = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "!has(self.__namespace__)", "message": "no namespace please"}],
    }
    schema = {
        "type": "object",
        "properties": {
            "metadata": {"type": "object"},
            "spec": {
                "type": "object",
                "properties": {
                    "entries": {
                        "type": "array",
                        "items": entry,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                    },
                    "count": {"type": "integer", "format": "int32", "default": 1},
                    "maybe": {"type": "string", "nullable": True},
                    "size": {"x-kubernetes-int-or-string": True},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            },
        },
    }
    crd = Crd(
        {
            "spec": {
                "group": "example.org",
                "names": {"kind": "Thing"},
                "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
            }
        }
    )
    obj = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}
    found = crd.errors(obj)
    assert (found == []) if reason is None else any(reason in each for each in found), found
