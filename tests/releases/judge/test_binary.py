"""The conditional likelihood ratios: exact, and a supermartingale wherever the challenger is no worse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nchypergeom_fisher  # type: ignore[import-untyped]

from app.releases.judge import ArmSums, Pairs, Stratum
from app.releases.judge.binary import LOG_RATIOS, PRIOR, grid, log_ratios, pair_log_ratios, table_log_ratios
from app.releases.judge.mixture import Floats

MARGINS = [(5, 95, 3), (50, 50, 7), (1, 1, 1), (40, 3, 20), (3, 40, 42), (200, 150, 120)]


def outcomes(n_challenger: int, n_champion: int, bad: int) -> range:
    return range(max(0, bad - n_champion), min(bad, n_challenger) + 1)


def probabilities(n_challenger: int, n_champion: int, bad: int, odds_ratio: float) -> Floats:
    found: Floats = nchypergeom_fisher.pmf(
        np.array(outcomes(n_challenger, n_champion, bad)), n_challenger + n_champion, n_challenger, bad, odds_ratio
    )
    return found


@pytest.mark.parametrize("psi0", [1.0, 1.7])
@pytest.mark.parametrize(("n_challenger", "n_champion", "bad"), MARGINS)
def test_ratios_are_fishers(n_challenger: int, n_champion: int, bad: int, psi0: float) -> None:
    for psi in (0.2, 1.5, 4.0):
        want = np.log(
            probabilities(n_challenger, n_champion, bad, psi) / probabilities(n_challenger, n_champion, bad, psi0)
        )
        found = [
            table_log_ratios(n_challenger, n_champion, x, bad - x, np.array([math.log(psi)]), math.log(psi0))[0]
            for x in outcomes(n_challenger, n_champion, bad)
        ]
        np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("tolerance", [1.0, 1.5])
@pytest.mark.parametrize(("n_challenger", "n_champion", "bad"), MARGINS)
def test_the_expectation_is_one_at_the_tolerance_and_less_on_the_safe_side(
    n_challenger: int, n_champion: int, bad: int, tolerance: float
) -> None:
    against = grid(tolerance)
    ratios = np.exp(
        [
            log_ratios(Stratum(ArmSums(n_challenger, x), ArmSums(n_champion, bad - x)), against)
            for x in outcomes(n_challenger, n_champion, bad)
        ]
    )
    margins = (n_challenger, n_champion, bad)
    np.testing.assert_allclose(probabilities(*margins, tolerance) @ ratios, 1, rtol=1e-7)
    better, worse = (
        probabilities(*margins, tolerance / 1.3) @ ratios,
        probabilities(*margins, tolerance * 1.3) @ ratios,
    )
    assert (better[: against.above] < 1).all()
    assert (better[against.above :] > 1).all()
    assert (worse[: against.above] > 1).all()
    assert (worse[against.above :] < 1).all()


@pytest.mark.parametrize(("n_challenger", "n_champion", "bad"), [(900, 4000, 700), (10_000, 10_000, 12_000)])
def test_long_sums_leave_out_nothing_that_counts(n_challenger: int, n_champion: int, bad: int) -> None:
    against = grid(1.0)
    x = np.arange(outcomes(n_challenger, n_champion, bad).stop)
    logs = np.array(
        [
            -math.lgamma(k + 1)
            - math.lgamma(n_challenger - k + 1)
            - math.lgamma(bad - k + 1)
            - math.lgamma(n_champion - bad + k + 1)
            if bad - k <= n_champion
            else -math.inf
            for k in x.tolist()
        ]
    )
    want = [np.logaddexp.reduce(logs + x * psi) for psi in (*against.log_psi.tolist(), 0.0)]
    seen = bad // 3
    found = table_log_ratios(n_challenger, n_champion, seen, bad - seen, against.log_psi, 0.0)
    np.testing.assert_allclose(found, seen * against.log_psi - want[:-1] + want[-1], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("stratum", [(5, 0, 95, 0), (5, 5, 95, 95), (0, 0, 95, 3), (7, 2, 0, 0)])
def test_without_a_choice_nothing_is_said(stratum: tuple[int, int, int, int]) -> None:
    n_challenger, bad_challenger, n_champion, bad_champion = stratum
    found = log_ratios(Stratum(ArmSums(n_challenger, bad_challenger), ArmSums(n_champion, bad_champion)), grid(1.2))
    assert not found.any()


def test_pairs_are_as_many_tables_of_one_and_one() -> None:
    against = grid(1.5)
    only_challenger = table_log_ratios(1, 1, 1, 0, against.log_psi, against.log_psi0)
    only_champion = table_log_ratios(1, 1, 0, 1, against.log_psi, against.log_psi0)
    want = 5 * only_challenger + 3 * only_champion
    np.testing.assert_allclose(pair_log_ratios(5, 3, against.log_psi, against.log_psi0), want, atol=1e-12)
    np.testing.assert_allclose(log_ratios(Pairs(50, 5 + 2, 3 + 2, 8), against), want, atol=1e-12)


@pytest.mark.parametrize("pairs", [Pairs(50, 5, 3, 1), Pairs(50, 5, 3, 3)])
def test_pairs_that_cannot_be_discordant_so_often_are_refused(pairs: Pairs) -> None:
    with pytest.raises(ValueError, match="2 or an even number more is accepted"):
        log_ratios(pairs, grid(1.0))


def test_counts_must_be_whole() -> None:
    with pytest.raises(ValueError, match=r"total of the challenger 0\.5"):
        log_ratios(Stratum(ArmSums(5, 0.5), ArmSums(5, 1)), grid(1.0))


def test_the_grid_has_a_whole_prior_and_stands_off_the_tolerance() -> None:
    assert PRIOR.sum() == pytest.approx(1)
    assert (LOG_RATIOS > 0).all()
    for tolerance, below in ((1.0, 32), (1.5, 33)):
        against = grid(tolerance)
        assert (against.log_psi[: against.above] > math.log(tolerance)).all()
        assert (against.log_psi[against.above :] < math.log(tolerance)).all()
        assert len(against.log_prior_pass) == below
        assert np.exp(against.log_prior_pass).sum() == pytest.approx(1)
