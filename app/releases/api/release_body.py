"""A release as a reader wants it: what is sent over HTTP, shaped from the stored document. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from app.releases.control.release_store import AuditEntry
from app.releases.lifecycle.phases import target_weights
from app.releases.model.plan import ReleasePlan, Strategy
from app.releases.model.release import Phase, Release


class HistoryBody(BaseModel):
    """An entry of a release's history."""

    at: datetime
    who: str = Field(description="Id of the API key, controller, or registry")
    what: str


class SummaryBody(BaseModel):
    """A release in a list."""

    id: str
    model: str
    challenger: str = Field(description="The version under trial")
    champion: str | None = Field(description="The version that had all the traffic before; null: none had")
    strategy: Strategy
    state: Phase = Field(description="promoted, rolled_back and cancelled are ends")
    step: int | None = Field(description="Which step of the plan, from 0; null outside of steps")
    steps: int = Field(description="How many steps the plan has")
    weight: float | None = Field(description="The challenger's share, 0 to 1; null: on the way back, as it is")
    paused: bool
    ended: bool
    reason: str = Field(description="Why it is on the way back, or ended so; empty else")
    created_at: datetime
    ended_at: datetime | None


class ReleaseBody(SummaryBody):
    """A release, whole."""

    weights: dict[str, float] | None = Field(description="Version -> weight wanted now; null: left as they are")
    since: datetime = Field(description="When state or step was begun")
    waiting_for: str = Field(description="What keeps it where it is, in words; empty: nothing")
    waiting_because: str = Field(description="Why that is not there yet: the last error of it; empty: none")
    registry_told: bool = Field(description="Whether the registry has everything that it is to be told")
    judge: dict[str, Any] | None = Field(
        description="The judge's report: verdict and e-value of the whole; per guard verdict, e-values, the bound "
        "that fails it, requests and rate per arm. null before the first. A number that is not finite is null",
        examples=[
            {
                "verdict": "undecided",
                "fail_e": 0.8,
                "guards": [
                    {
                        "name": "errors",
                        "verdict": "undecided",
                        "fail_e": 0.8,
                        "pass_e": 3.1,
                        "bound": 20.0,
                        "n_challenger": 120,
                        "n_champion": 1080,
                        "rate_challenger": 0.008,
                        "rate_champion": 0.01,
                    }
                ],
            }
        ],
    )
    plan: ReleasePlan = Field(description="The plan it follows; durations in seconds")
    history: list[HistoryBody] = Field(description="The newest 200 entries, the oldest first")


class AuditBody(BaseModel):
    """One change, as the audit log has it."""

    at: datetime
    who: str = Field(description="Id of the API key, controller, or registry")
    model: str
    release: str = Field(description="Empty: of none, as where the registry asks for what cannot be done")
    what: str
    before: str = Field(description="Phase (and step) before; empty: the beginning")
    after: str


def summary_body(release: Release) -> SummaryBody:
    """The body of a release in a list."""
    return SummaryBody(**_summary(release))


def release_body(release: Release) -> ReleaseBody:
    """The body of a release: everything but what only the controller needs."""
    return ReleaseBody(
        **_summary(release),
        weights=target_weights(release),
        since=_instant(release.since),
        waiting_for="" if release.is_final else release.waiting_for,
        waiting_because="" if release.is_final else release.waiting_because,
        registry_told=not release.outbox,
        judge=_finite(release.report),
        plan=release.plan,
        history=[HistoryBody(at=_instant(each.at), who=each.who, what=each.what) for each in release.history],
    )


def audit_body(entry: AuditEntry) -> AuditBody:
    """One line of the audit log."""
    return AuditBody(
        at=_instant(entry.at),
        who=entry.who,
        model=entry.model,
        release=entry.release,
        what=entry.what,
        before=entry.before,
        after=entry.after,
    )


def _summary(release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "model": release.model,
        "challenger": release.challenger,
        "champion": release.champion,
        "strategy": release.plan.strategy,
        "state": release.phase,
        "step": release.step if release.phase == "step" else None,
        "steps": len(release.plan.steps),
        "weight": release.weight,
        "paused": release.paused,
        "ended": release.is_final,
        "reason": release.reason,
        "created_at": _instant(release.created),
        "ended_at": None if release.ended is None else _instant(release.ended),
    }


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _finite(value: Any) -> Any:
    """The same plain values with null where JSON has no number: an e-value may leave a double's range, a rate of
    nothing is none."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
