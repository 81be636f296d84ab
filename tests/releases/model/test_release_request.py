from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.releases.model.plan import PlanError
from app.releases.model.release_request import (
    NoPlanError,
    RegisteredModel,
    RegisteredVersion,
    ReleaseRequest,
    mark_of,
    plan_of,
    requests_of,
)

PLAN = "tidegate.release.plan"
YAML = "strategy: canary\nsteps: [{weight: 0.1, gate: person}]"
JSON = '{"strategy": "canary", "steps": [{"weight": 0.2, "gate": "person"}]}'


def requests_of_tags(tags: Mapping[str, str], challenger: str | None = None) -> list[str]:
    """The requests of version 2 with these tags."""
    models = [RegisteredModel("flights", {PLAN: YAML}, challenger), RegisteredModel("other", {})]
    return [each.by for each in requests_of(models, [RegisteredVersion("flights", "2", tags)])]


BY_TAG, BY_ALIAS = [f"tag {PLAN} of version 2"], ["alias challenger of version 2"]


@pytest.mark.parametrize(
    ("tags", "challenger", "by"),
    [
        ({}, None, []),
        ({}, "2", BY_ALIAS),
        ({}, "1", []),
        ({PLAN: "canary"}, None, BY_TAG),
        ({PLAN: "canary"}, "2", BY_TAG),
        ({PLAN: "canary", mark_of("canary"): "refused: no such plan"}, "2", []),
        ({PLAN: "canary", mark_of("quick"): "flights-1"}, None, BY_TAG),  # another one by now
        ({PLAN: "canary", "tidegate.release": "flights-1"}, None, BY_TAG),  # once more, otherwise
        ({"tidegate.release": "flights-1"}, "2", []),  # a release has set the alias
        ({"tidegate.release.asked.challenger": "refused: it has no signature"}, "2", []),
    ],
)
def test_tags_and_aliases_that_ask_for_a_release(tags: dict[str, str], challenger: str | None, by: list[str]) -> None:
    assert requests_of_tags(tags, challenger) == by


def test_the_lowest_version_goes_first() -> None:
    versions = [RegisteredVersion("flights", number, {PLAN: YAML}) for number in ("10", "9")]
    assert [each.version for each in requests_of([RegisteredModel("flights", {})], versions)] == ["9", "10"]


def weight(value: str | None, tags: Mapping[str, str]) -> float:
    return plan_of(ReleaseRequest("flights", "2", "it", value, tags, "mark")).steps[0].weight


def test_a_plan_is_written_whole_or_named() -> None:
    tags = {PLAN: YAML, f"{PLAN}.bold": JSON}
    assert weight(None, tags) == 0.1
    assert weight(YAML, {}) == 0.1
    assert weight(JSON, {}) == 0.2
    assert weight(" bold ", tags) == 0.2
    assert weight("default", tags) == 0.1
    assert weight("default", {**tags, f"{PLAN}.default": JSON}) == 0.2


@pytest.mark.parametrize(
    ("value", "tags", "sentence"),
    [
        ("bold", {}, r"'bold': the registered model flights has no tag tidegate.release.plan.bold; .* \(none\)"),
        ("bold", {PLAN: YAML, f"{PLAN}.quick": YAML}, r"a plan that it has \(default, quick\)"),
        ("default", {}, r"no tag tidegate.release.plan;"),
        ("", {}, "a plan is a mapping with strategy, steps and guards, not NoneType"),
        ("steps: [", {}, "tidegate.release.plan is not YAML"),
        ("[" * 400, {}, "tidegate.release.plan is not YAML"),
        ("since: 2026-13-45", {}, "tidegate.release.plan is not YAML: month must be in 1..12"),
        ("alpha: " + "9" * 4400, {}, "tidegate.release.plan is not YAML"),
        ("alpha: !!timestamp soon", {}, "tidegate.release.plan is not YAML"),
        ("alpha: !!bool perhaps", {}, "tidegate.release.plan is not YAML"),
        ("quick", {f"{PLAN}.quick": "strategy: fast"}, "tidegate.release.plan.quick: strategy 'fast'"),
        (None, {PLAN: "quick"}, "tidegate.release.plan: a plan is a mapping"),
    ],
)
def test_a_plan_that_cannot_be_honoured_is_refused_by_its_tag(
    value: str | None, tags: dict[str, str], sentence: str
) -> None:
    with pytest.raises(PlanError, match=sentence) as refused:
        weight(value, tags)
    assert not isinstance(refused.value, NoPlanError)


def test_a_challenger_of_a_model_without_a_plan_asks_for_nothing() -> None:
    with pytest.raises(NoPlanError, match="the registered model flights has no tag"):
        weight(None, {f"{PLAN}.bold": JSON})
