"""The part of a release that the route table carries to the gateway replicas. Pure."""

from __future__ import annotations

from app.monitoring.guards import AgreementGuard, DriftGuard, LatencyGuard, QualityGuard
from app.releases.model.release import Release
from app.routing.release_context import OutputLoss, OutputMatch, OutputRange, ReleaseContext


def context_of(release: Release) -> ReleaseContext:
    """The route table's part.

    Gateway replicas of this version measure by ``guards``; the label join reads ``quality``. The fields beside them
    are for replicas of older versions, which know no other guards.
    """
    plan = release.plan
    slow_over_s, drift, agreement, quality = None, None, None, None
    for guard in plan.guards:
        match guard:
            case LatencyGuard(objective=objective):
                slow_over_s = objective
            case DriftGuard(output=output, low=low, high=high):
                drift = OutputRange(output, low, high)
            case AgreementGuard(output=output, within=within):
                agreement = OutputMatch(output, within)
            case QualityGuard(output=output, loss=loss, threshold=threshold):
                quality = OutputLoss(output, loss, threshold)
    return ReleaseContext(
        release=release.id,
        champion=release.champion,
        challenger=release.challenger,
        mirror=plan.mirror,
        pinned=plan.pinned,
        slow_over_s=slow_over_s,
        drift=drift,
        agreement=agreement,
        quality=quality,
        guards=tuple(guard.model_dump_json() for guard in plan.guards),
    )
