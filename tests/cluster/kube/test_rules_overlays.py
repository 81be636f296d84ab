"""What the project itself ships keeps the operator's rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.kube.manifest import load
from cluster.kube.render import render as rendered
from cluster.kube.rules import violations, warnings
from tests.cluster.manifests.rendering import COMBINATIONS, render

OVERLAYS = Path(__file__).parents[3] / "cluster" / "overlays"
KUBECTL = Path(sys.executable).with_name("kubectl")


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_combination_keeps_the_operators_rules(name: str) -> None:
    assert [str(found) for obj in render(name) for found in violations(obj) + warnings(obj)] == []


def test_two_components_do_not_go_together_and_the_readme_says_so() -> None:
    found = [str(each) for obj in rendered("dev+ha") for each in violations(obj)]
    assert len(found) == 1
    assert "minReplicas is 2; accepted: at most maxReplicas, which is 1" in found[0]
    assert "They go together, except `dev` with `ha`:" in (OVERLAYS.parents[1] / "README.md").read_text()


@pytest.mark.parametrize(
    "overlay", sorted(path.parent for path in OVERLAYS.glob("*/kustomization.yaml")), ids=lambda p: p.name
)
def test_an_overlay_keeps_the_operators_rules(overlay: Path) -> None:
    done = subprocess.run([KUBECTL, "kustomize", overlay], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    objects = load(done.stdout)
    assert any(obj["apiVersion"].startswith("ray.io/") for obj in objects)
    assert [str(violation) for obj in objects for violation in violations(obj) + warnings(obj)] == []
