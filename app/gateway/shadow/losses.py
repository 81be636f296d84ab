"""Losses of one request, for its arm of the release: from 0 to 1 (see ``app.monitoring.sums``). Pure.

By intention to treat: a request counts for the version that the split picked, whoever answered in the end. It counts
once: with the challenger's answer beside the champion's as a pair, where it was mirrored, else by itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.gateway.inference.request_record import RequestRecord
from app.monitoring.samples import Sample
from app.monitoring.sums import Arm
from app.routing.release_context import OutputMatch, OutputRange, ReleaseContext
from app.serving.batch import Outputs


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
    """A request by itself."""
    found: list[Sample] = [("errors", arm, float(failed(record)))]
    if record.version == record.picked:
        slow = _slow(release_context, record)
        if slow is not None:
            found.append(("latency", arm, float(slow)))
        drift = _drift(release_context.drift, record.outputs)
        if drift is not None:
            found.append(("drift", arm, drift))
    return found


def of_pair(release_context: ReleaseContext, champion: RequestRecord, challenger: RequestRecord) -> list[Sample]:
    """A mirrored request: the caller's, for which the champion was picked, and what the challenger made of it.

    A challenger that refuses what the champion answered has failed; it is no mistake of the caller's.
    """
    first, second = failed(champion), failed(challenger)
    found = _worse("errors/pairs", second, first)
    if champion.version != champion.picked or second:
        return found
    slow, slow_second = _slow(release_context, champion), _slow(release_context, challenger)
    if slow is not None and slow_second is not None:
        found += _worse("latency/pairs", slow_second, slow)
    drift, drift_second = (
        _drift(release_context.drift, champion.outputs),
        _drift(release_context.drift, challenger.outputs),
    )
    if drift is not None and drift_second is not None:
        found += _worse("drift/pairs", drift_second, drift)
    if release_context.agreement is not None and champion.outputs is not None and challenger.outputs is not None:
        apart = differ(release_context.agreement, champion.outputs, challenger.outputs)
        if apart is not None:
            found += ("agreement", "challenger", float(apart)), ("agreement", "champion", 0.0)
    return found


def differ(match: OutputMatch, champion: Outputs, challenger: Outputs) -> bool | None:
    """True where two outputs differ; None where the champion gives no such one. Two missing numbers (NaN) agree."""
    first, second = champion.get(match.output), challenger.get(match.output)
    if first is None:
        return None
    if second is None or first.shape != second.shape:
        return True
    if _is_number(first) != _is_number(second):
        return True
    if not _is_number(first):
        return bool(first.tolist() != second.tolist())
    # as float64: the difference of unsigned or narrow numbers may not be one of theirs
    close = np.isclose(
        first.astype(np.float64), second.astype(np.float64), rtol=0.0, atol=match.within, equal_nan=True
    )
    return not close.all()


def position(of: OutputRange, outputs: Outputs) -> float | None:
    """Position of the mean of an output in its range, 0 to 1, its values cut to the range first; missing ones (NaN)
    left out. None where there is no such output, or no number in it."""
    array = outputs.get(of.output)
    if array is None or not array.size or not _is_number(array):
        return None
    if array.size == 1:  # numpy takes ten times as long
        value = float(array.item())
        if math.isnan(value):
            return None
        mean = min(max(value, of.low), of.high)
    else:
        values = array.astype(np.float64)
        values = np.clip(values[~np.isnan(values)], of.low, of.high)
        if not values.size:
            return None
        mean = float(values.mean())
    return min(max((mean - of.low) / (of.high - of.low), 0.0), 1.0)


def _drift(of: OutputRange | None, outputs: Outputs | None) -> float | None:
    return None if of is None or outputs is None else position(of, outputs)


def _slow(release_context: ReleaseContext, record: RequestRecord) -> bool | None:
    """None where the plan has no limit, or the time is not known: the request waited for another one's answer."""
    if release_context.slow_over_s is None or not record.version_s:
        return None
    return record.version_s > release_context.slow_over_s


def _worse(metric: str, challenger: float, champion: float) -> list[Sample]:
    """One pair: by how much each arm's loss was the larger one. From these follow the sum of the differences and the
    sum of their squares, as they would not from sums of the losses themselves."""
    return [
        (metric, "challenger", float(max(challenger - champion, 0))),
        (metric, "champion", float(max(champion - challenger, 0))),
    ]


def _is_number(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "biuf"
