"""What the gateway replicas are told of a release. Pure."""

from __future__ import annotations

from app.releases.model.plan import Agreement, Drift, Quality, SlowAnswers
from app.releases.model.release import Release
from app.routing.release_context import OutputLoss, OutputMatch, OutputRange, Trial


def context_of(release: Release) -> Trial:
    """The route table's part."""
    plan = release.plan
    slow_over_s, drift, agreement, quality = None, None, None, None
    for guard in plan.guards:
        match guard:
            case SlowAnswers(objective=objective):
                slow_over_s = objective
            case Drift(output=output, low=low, high=high):
                drift = OutputRange(output, low, high)
            case Agreement(output=output, within=within):
                agreement = OutputMatch(output, within)
            case Quality(output=output, loss=loss, threshold=threshold):
                quality = OutputLoss(output, loss, threshold)
    return Trial(
        release=release.id,
        champion=release.champion,
        challenger=release.challenger,
        mirror=plan.mirror,
        pinned=plan.pinned,
        slow_over_s=slow_over_s,
        drift=drift,
        agreement=agreement,
        quality=quality,
    )
