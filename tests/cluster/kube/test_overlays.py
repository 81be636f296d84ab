"""Names of overlays and components, and the manifests that they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.kube.errors import UsageError
from cluster.kube.overlays import available, resolve
from tests.cluster.kube import tiny


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("manifests"))


def test_everything_is_listed_with_its_first_sentence(manifests: Path) -> None:
    assert [(each.name, each.kind, each.description) for each in available(manifests)] == [
        ("base", "base", "The tiny platform."),
        ("big", "overlay", ""),
        ("training-job", "overlay", "One run."),
        ("big", "component", "Ten of everything."),
        ("bigger", "component", ""),
    ]


def test_names_and_compositions(manifests: Path) -> None:
    assert resolve("base", manifests).resource == manifests / "base"
    assert resolve("big", manifests).resource == manifests / "overlays/big"
    alone = resolve("bigger", manifests)
    assert (alone.resource, alone.components) == (manifests / "base", (manifests / "components/bigger",))
    both = resolve("bigger+big", manifests)
    assert both.components == (manifests / "components/bigger", manifests / "components/big")
    own = resolve(str(manifests / "overlays/big"), manifests)
    assert (own.resource, own.components) == (manifests / "overlays/big", ())


@pytest.mark.parametrize(
    ("given", "applied"),
    [
        ("mesh+gpu+ha", ["gpu", "ha", "mesh"]),
        ("kueue+gpu", ["gpu", "kueue"]),
        ("mesh+kueue+dev+gpu", ["dev", "gpu", "kueue", "mesh"]),
    ],
)
def test_components_that_change_others_come_last(given: str, applied: list[str]) -> None:
    assert [folder.name for folder in resolve(given).components] == applied


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        ("bgi", r"'bgi' \(did you mean big\?\); there are base, big, training-job, bigger"),
        ("big+smal", r"'big\+smal': nothing is called 'smal'; there are big, bigger"),
        ("big+base", "the base is in every composition"),
        ("big+training-job", "'training-job' stands alone; big, bigger can be joined"),
        ("big+big", "names a component twice"),
        ("./nowhere", r"'\./nowhere' is no folder with a kustomization.yaml"),
    ],
)
def test_unknown_overlay_is_refused(manifests: Path, overlay: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        resolve(overlay, manifests)
