"""Every object against its schema: custom kinds by their CRD, built-in ones by the API's own description."""

from __future__ import annotations

import functools
import json

import kubernetes_validate
import pytest

from cluster.kube.manifest import Object, key_of
from tests.cluster.manifests.rendering import ALL, render
from tests.cluster.recordings import CRDS
from tests.support.crd import Crd, load

VERSION = "1.36"
"""Kubernetes that the CRDs were accepted by."""


@functools.cache
def crds() -> dict[tuple[str, str], Crd]:
    return load(CRDS)


def builtin(obj: Object) -> bool:
    group = obj["apiVersion"].rpartition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and not group.startswith(("gateway.", "kueue.")))


def refused(obj: Object) -> list[str]:
    """Returns what the server would say; an object that several overlays have is looked at once."""
    return _refused(json.dumps(obj, sort_keys=True))


@functools.cache
def _refused(text: str) -> list[str]:
    obj = json.loads(text)
    if builtin(obj):
        try:
            kubernetes_validate.validate(obj, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [str(error)]
        return []
    return crds()[obj["apiVersion"].rpartition("/")[0], obj["kind"]].errors(obj)


@pytest.mark.parametrize("name", ALL)
def test_api_server_accepts_every_object(name: str) -> None:
    assert {str(key_of(obj)): errors for obj in render(name) if (errors := refused(obj))} == {}


def test_a_wrong_field_is_noticed_in_either_sort() -> None:
    objects = {obj["kind"]: obj for obj in render("base")}
    objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]["surge"] = 1
    objects["RayService"]["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["img"] = (
        "x"
    )
    assert refused(objects["Deployment"])
    assert refused(objects["RayService"])
