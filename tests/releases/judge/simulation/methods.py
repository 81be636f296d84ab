"""When each way of judging takes a release back: the judge, and what others do, on the same samples.

Each is a function of the samples that gives [releases] seconds from the start of the traffic to the end of the second
that decided, infinity where none did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import NormalDist

import numpy as np
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

from app.releases.judge.binary import Grid, grid, table_log_ratios
from app.releases.judge.mixture import Floats, log_average
from tests.releases.judge.simulation.samples import Counts, Samples

ALPHA = 0.05
MINUTE = 60
FAILED_CHECKS = 5
MAX_ERROR_RATE = 0.02
"""A check fails above it: twice the champion's rate. At Flagger's usual 99 % of success the champion itself would
fail every other check."""
Z = NormalDist().inv_cdf(1 - ALPHA)


def judge(samples: Samples) -> Floats:
    """A look each second at the e-process of ``app.releases.judge.binary``, nothing tolerated."""
    against = grid(1.0)
    codes, ratios = tables(samples, against)
    seconds, releases = codes.shape
    found = np.full(releases, np.inf)
    live = np.arange(releases)
    logs = np.zeros((releases, against.above))
    for second in range(seconds):
        logs += ratios[codes[second, live]]
        failed = log_average(logs, against.log_prior_fail) >= -np.log(ALPHA)
        if failed.any():
            found[live[failed]] = second + 1
            live, logs = live[~failed], logs[~failed]
            if not len(live):
                break
    return found


def tables(samples: Samples, against: Grid) -> tuple[Counts, Floats]:
    """[seconds, releases] numbers of 2×2 tables, and the [tables, grid] logarithms of their likelihood ratios: of the
    millions of ticks few thousand differ."""
    counts = (samples.n_challenger, samples.n_champion, samples.bad_challenger, samples.bad_champion)
    dims = [int(count.max()) + 1 for count in counts]
    codes = np.ravel_multi_index(counts, dims)
    present = np.flatnonzero(np.bincount(codes.ravel()))
    number = np.zeros(int(present[-1]) + 1, np.int64)
    number[present] = np.arange(len(present))
    rows = []
    for code in present:
        n_c, n_s, bad_c, bad_s = (int(count) for count in np.unravel_index(code, dims))
        rows.append(table_log_ratios(n_c, n_s, bad_c, bad_s, against.log_psi[: against.above], against.log_psi0))
    return number[codes], np.array(rows)


def z_test(samples: Samples) -> Floats:
    """A one-sided test of two proportions on all requests so far, looked at each second."""
    n_c, n_s = samples.n_challenger.cumsum(0), samples.n_champion.cumsum(0)
    bad_c, bad_s = samples.bad_challenger.cumsum(0), samples.bad_champion.cumsum(0)
    pooled = (bad_c + bad_s) / (n_c + n_s)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing bad so far, or nothing at all
        z = (bad_c / n_c - bad_s / n_s) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_s))
    return _first(z > Z)


def failed_checks(samples: Samples) -> Floats:
    """Flagger's way: once a minute the challenger's error rate of that minute; the fifth failure is one too many."""
    bad, n = _per_minute(samples.bad_challenger), _per_minute(samples.n_challenger)
    return MINUTE * _first((bad > MAX_ERROR_RATE * n).cumsum(0) >= FAILED_CHECKS)


def mann_whitney(samples: Samples) -> Floats:
    """Kayenta's way: when all is over, one-sided on the error rates of each minute."""
    challenger = _per_minute(samples.bad_challenger) / np.maximum(_per_minute(samples.n_challenger), 1)
    champion = _per_minute(samples.bad_champion) / np.maximum(_per_minute(samples.n_champion), 1)
    worse = mannwhitneyu(challenger, champion, alternative="greater", method="asymptotic", axis=0).pvalue < ALPHA
    return np.where(worse, float(len(samples.n_challenger)), np.inf)


JUDGE = "judge"
METHODS: Mapping[str, Callable[[Samples], Floats]] = {
    JUDGE: judge,
    "z-test each second": z_test,
    f"{FAILED_CHECKS} failed checks": failed_checks,
    "Mann-Whitney": mann_whitney,
}


def _per_minute(counts: Counts) -> Counts:
    sums: Counts = counts.reshape(-1, MINUTE, counts.shape[1]).sum(1)
    return sums


def _first(hits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """[releases] number of the first hit along the first axis, counted from 1."""
    return np.where(hits.any(0), hits.argmax(0) + 1.0, np.inf)
