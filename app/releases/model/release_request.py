"""Releases that the registry asks for, by tags and aliases that others set. Pure.

A request is made once. What became of it is written on the version that it names, and nothing is made of it again:
the id of its release, which the release's first note writes, before it can end; or why there is none. A version that
the controller itself gave the alias ``challenger`` has the tag of its release by then, and asks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from app.releases.model.plan import PlanError, ReleasePlan, parse, plain_values
from app.releases.model.tags import CHALLENGER_ALIAS, MARK_TAG, PLAN_TAG, RELEASE_TAG

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class NoPlanError(PlanError):
    """A challenger whose model names no plan: nothing is asked for."""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model's tags, and the version that holds the alias ``challenger``, if one does."""

    name: str
    tags: Mapping[str, str]
    challenger: str | None = None


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version's tags."""

    model: str
    version: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A release that somebody asks for.

    Attributes:
        by: what asks, in words.
        plan: the value of the version's tag; None where the alias asks.
        tags: the registered model's.
        mark: tag of the version that is to hold what became of it.
    """

    model: str
    version: str
    by: str
    plan: str | None
    tags: Mapping[str, str]
    mark: str


def requests_of(models: Iterable[RegisteredModel], versions: Iterable[RegisteredVersion]) -> list[ReleaseRequest]:
    """The requests that are new: by model, the lowest version first. For a version with a plan of its own
    its alias says nothing more.

    Args:
        versions: of these models: those with a plan of their own, and every challenger.
    """
    held = {(version.model, version.version): version.tags for version in versions}
    found = []
    for model in models:
        for (name, version), tags in held.items():
            if name == model.name:
                found += _of_version(model, version, tags)
    return sorted(found, key=lambda each: (each.model, int(each.version)))


def plan_of(request: ReleaseRequest) -> ReleasePlan:
    """The plan that a request names, or is.

    Raises:
        NoPlanError: the alias asks, and the model names no plan.
        PlanError: it is none, or one that cannot be honoured.
    """
    if request.plan is None:
        text = request.tags.get(PLAN_TAG)
        if text is None:
            raise NoPlanError(f"no plan: the registered model {request.model} has no tag {PLAN_TAG}")
        return _parsed(text, PLAN_TAG)
    name = request.plan.strip()
    if not _NAME.fullmatch(name):
        return _parsed(request.plan, PLAN_TAG)
    tag = f"{PLAN_TAG}.{name}"
    if tag not in request.tags and name == DEFAULT:
        tag = PLAN_TAG
    if tag not in request.tags:
        known = [each.removeprefix(f"{PLAN_TAG}.") for each in request.tags if each.startswith(f"{PLAN_TAG}.")]
        named = ", ".join(sorted({*known, *([DEFAULT] if PLAN_TAG in request.tags else [])})) or "none"
        raise PlanError(
            f"{PLAN_TAG} {name!r}: the registered model {request.model} has no tag {tag}; accepted is a plan that it "
            f"has ({named}), or a whole one as YAML or JSON"
        )
    return _parsed(request.tags[tag], tag)


def mark_of(value: str) -> str:
    """The tag that says what became of a version's plan."""
    return MARK_TAG + blake2b(value.encode(), digest_size=4).hexdigest()


def _of_version(model: RegisteredModel, version: str, tags: Mapping[str, str]) -> list[ReleaseRequest]:
    found = []
    plan = tags.get(PLAN_TAG)
    if plan is not None and mark_of(plan) not in tags:
        by = f"tag {PLAN_TAG} of version {version}"
        found.append(ReleaseRequest(model.name, version, by, plan, model.tags, mark_of(plan)))
    mark = MARK_TAG + CHALLENGER_ALIAS
    if model.challenger == version and plan is None and RELEASE_TAG not in tags and mark not in tags:
        by = f"alias {CHALLENGER_ALIAS} of version {version}"
        found.append(ReleaseRequest(model.name, version, by, None, model.tags, mark))
    return found


def _parsed(text: str, tag: str) -> ReleasePlan:
    document = plain_values(text, tag)
    try:
        return parse(document)
    except PlanError as error:
        raise PlanError(f"{tag}: {error}") from None
