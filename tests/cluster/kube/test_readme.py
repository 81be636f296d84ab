"""cluster/README.md: its kustomization builds, and its figures are those of the manifests."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cluster.kube.overlays import MANIFESTS
from cluster.kube.render import render
from cluster.kube.sizes import cells, sizes

TEXT = (MANIFESTS / "README.md").read_text()


def test_the_kustomization_of_ones_own_builds(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n# my-platform/kustomization.yaml\n(.*?)```", TEXT, re.S)
    assert block
    text = block[1].replace("../tidegate/cluster", os.path.relpath(MANIFESTS.resolve(), tmp_path.resolve()))
    (tmp_path / "kustomization.yaml").write_text(text.replace("sha256:…", "sha256:" + "0" * 64))
    objects = render(f"{tmp_path}/")
    (policy,) = (
        obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == ("NetworkPolicy", "tidegate-mlflow")
    )
    assert policy["spec"]["egress"][-1] == {"ports": [{"port": 6432}]}


def test_the_sizes_are_those_of_ha() -> None:
    shown = [line.split() for line in TEXT.partition("ha --sizes\n")[2].partition("```")[0].splitlines()[1:]]
    assert shown == [" ".join(cells(size)).split() for size in sizes(render("ha"))]
