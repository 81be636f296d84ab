"""Losses of one request, for its arm of the release: from 0 to 1 (see ``app.monitoring.sums``). Pure.

By intention to treat: a request counts for the version that the split picked, whoever answered in the end. It counts
once: with the challenger's answer beside the champion's as a pair, where it was mirrored, else by itself.
"""

from __future__ import annotations

import json

from app.gateway.inference.request_record import RequestRecord
from app.monitoring.guards import GUARDS, AgreementGuard, DriftGuard, Guard, LatencyGuard, worse
from app.monitoring.sums import Arm, Sample
from app.routing.release_context import ReleaseContext

MAX_KNOWN = 256
"""Releases whose guards are held parsed."""


def arm_of(record: RequestRecord) -> Arm | None:
    """The arm that a request counts for; None where it says nothing: no release, or one without a champion, pinned,
    the caller's own mistake, a caller who left, or an answer from the prediction cache, for which the version was not
    asked."""
    release_context = record.release_context
    if (
        release_context is None
        or release_context.champion is None
        or record.picked is None
        or 400 <= record.status < 500
    ):
        return None
    if record.cached and not failed(record):
        return None
    if record.picked == release_context.challenger:
        return "challenger"
    return "champion" if record.picked == release_context.champion else None


def failed(record: RequestRecord) -> bool:
    """True where the version picked gave no answer: when it was first asked, or because its breaker kept the request
    away from it. What another version, or a second attempt, made good is no merit of it."""
    return record.version != record.picked or record.picked in record.failed


def of_request(release_context: ReleaseContext, record: RequestRecord, arm: Arm) -> list[Sample]:
    """Samples of a request by itself."""
    found: list[Sample] = [("errors", arm, float(failed(record)))]
    if record.version == record.picked:
        for guard in measured_guards(release_context):
            found += guard.of_answer(record, arm)
    return found


def of_pair(release_context: ReleaseContext, champion: RequestRecord, challenger: RequestRecord) -> list[Sample]:
    """Samples of a mirrored request: the caller's, for which the champion was picked, and the challenger's answer.

    A challenger that refuses what the champion answered has failed; it is no mistake of the caller's.
    """
    first, second = failed(champion), failed(challenger)
    found = worse("errors/pairs", second, first)
    if champion.version != champion.picked or second:
        return found
    for guard in measured_guards(release_context):
        found += guard.of_pair(champion, challenger)
    return found


_KNOWN: dict[str, tuple[ReleaseContext, tuple[Guard, ...]]] = {}
"""Release -> its context as last seen, and the guards of it: looked up for every request, so by identity."""


def measured_guards(context: ReleaseContext) -> tuple[Guard, ...]:
    """The guards of a release that are measured here. One that this version does not know is left to those that do,
    and so is a field of one."""
    held = _KNOWN.get(context.release)
    if held is not None and held[0] is context:
        return held[1]
    if len(_KNOWN) >= MAX_KNOWN:
        _KNOWN.clear()
    guards = _parsed(context)
    _KNOWN[context.release] = context, guards
    return guards


def _parsed(context: ReleaseContext) -> tuple[Guard, ...]:
    if not context.guards:
        return _older(context)
    documents = [json.loads(text) for text in context.guards]
    return tuple(
        GUARDS[document["metric"]].model_validate(document, extra="ignore")
        for document in documents
        if document["metric"] in GUARDS
    )


def _older(context: ReleaseContext) -> tuple[Guard, ...]:
    """The guards in a table of an older controller."""
    found: list[Guard] = []
    if context.slow_over_s is not None:
        found.append(LatencyGuard(metric="latency", objective=f"{context.slow_over_s:.9f}s"))
    if context.drift is not None:
        of = context.drift
        found.append(DriftGuard(metric="drift", output=of.output, low=of.low, high=of.high))
    if context.agreement is not None:
        match = context.agreement
        found.append(AgreementGuard(metric="agreement", output=match.output, within=match.within))
    return tuple(found)
