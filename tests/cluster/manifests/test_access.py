"""The roles for people cover what the verbs do, and no more than that."""

from __future__ import annotations

import pytest

from cluster.kube.manifest import Object
from tests.cluster.manifests.rendering import WITH_BASE, render

PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "AuthorizationPolicy": "authorizationpolicies",
}
OF_THE_CLUSTER = {"ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass", "PriorityClass"}
"""Kinds without a namespace, which the cluster's administrators apply."""
READ, WRITE = {"get", "list", "watch"}, {"create", "patch", "delete"}


def granted(objects: list[Object], role: str) -> dict[tuple[str, str], set[str]]:
    """Returns what the role gives, with those that components add to it by their own name behind it."""
    names = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Role"]
    assert role in names
    rules = [
        rule
        for obj in objects
        if obj["kind"] == "Role" and obj["metadata"]["name"].startswith(role)
        for rule in obj["rules"]
    ]
    return {
        (group, resource): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@pytest.mark.parametrize("name", WITH_BASE)
def test_the_operator_may_apply_and_remove_all_of_it(name: str) -> None:
    objects = render(name)
    operator, viewer = granted(objects, "tidegate-operator"), granted(objects, "tidegate-viewer")
    for obj in objects:
        if obj["kind"] in OF_THE_CLUSTER:
            continue
        group = obj["apiVersion"].rpartition("/")[0]
        resource = (group, PLURALS.get(obj["kind"], f"{obj['kind'].lower()}s"))
        wanted = READ | ({"patch"} if obj["kind"] == "Namespace" else WRITE)
        assert operator.get(resource) == wanted, resource
        assert viewer.get(resource) == READ, resource


def test_applier_has_the_rights_that_it_grants() -> None:
    objects = render("base")
    operator = granted(objects, "tidegate-operator")
    for role in ("tidegate-viewer", "tidegate-autoscaler"):
        for resource, verbs in granted(objects, role).items():
            assert verbs <= operator.get(resource, set()), (role, resource)


@pytest.mark.parametrize("role", ["tidegate-viewer", "tidegate-operator", "tidegate-autoscaler"])
def test_no_role_reads_secrets_or_executes_in_pods(role: str) -> None:
    found = granted(render("base"), role)
    assert not {"secrets", "pods/exec", "pods/attach", "pods/portforward", "*"} & {name for _, name in found}
    assert not any("*" in verbs for verbs in found.values())


def test_a_viewer_changes_nothing() -> None:
    assert all(verbs <= READ for verbs in granted(render("base"), "tidegate-viewer").values())
