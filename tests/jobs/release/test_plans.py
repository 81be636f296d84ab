"""The shipped plans, and how one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.releases.model.plan import PlanError, parse
from jobs.release.plans import SHIPPED, find, names, read


def test_shipped_plan_is_valid_and_named_after_its_strategy() -> None:
    assert names() == ["ab", "blue-green", "canary", "shadow"]
    for name in names():
        assert parse(read(name)).strategy == name.replace("-", "_")


def test_plan_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("canary") == find("canary.yaml") == SHIPPED / "canary.yaml"
    (tmp_path / "canary.yaml").write_text("strategy: [")
    monkeypatch.chdir(tmp_path)
    assert find("canary.yaml") == Path("canary.yaml"), "a file that is there comes first"
    with pytest.raises(PlanError, match=r"--plan absent: no such file; shipped are ab, blue-green, canary, shadow"):
        find("absent")


def test_plans_are_installed_with_the_package() -> None:
    project = (SHIPPED.parents[1] / "pyproject.toml").read_text()
    assert '"plans/*.yaml"' in project
