"""Offline gates: what they take, and what they let through."""

from __future__ import annotations

import math

import pytest

from jobs.deliver.offline_gate import OfflineGate, check, parse


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("auc>=champion-0.005", OfflineGate("auc", ">=", True, -0.005)),
        ("auc >= champion - 0.005", OfflineGate("auc", ">=", True, -0.005)),
        ("brier<=champion", OfflineGate("brier", "<=", True, 0.0)),
        ("brier<=champion+1e-3", OfflineGate("brier", "<=", True, 0.001)),
        ("loss/val<=2", OfflineGate("loss/val", "<=", False, 2.0)),
        ("margin>=-1.5", OfflineGate("margin", ">=", False, -1.5)),
    ],
)
def test_gate_is_parsed(text: str, gate: OfflineGate) -> None:
    assert parse(text) == gate


@pytest.mark.parametrize("text", ["auc", "auc>0.5", "auc>=", ">=0.5", "auc>=best", "auc>=champion*2", "auc>=1.2.3"])
def test_other_text_is_refused_as_a_gate(text: str) -> None:
    with pytest.raises(ValueError, match=r"accepted is METRIC>=BOUND"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "challenger", "champion", "passed", "sentence"),
    [
        ("auc>=champion-0.005", 0.79, 0.63, True, "auc 0.7900 is >= 0.6250 (champion 0.6300 - 0.005)"),
        ("auc>=champion-0.005", 0.62, 0.63, False, "auc 0.6200 is not >= 0.6250 (champion 0.6300 - 0.005)"),
        ("auc<=champion", 0.63, 0.63, True, "auc 0.6300 is <= 0.6300 (champion 0.6300 + 0)"),
        ("auc>=0.7", 0.69, None, False, "auc 0.6900 is not >= 0.7"),
        ("auc>=champion", 0.5, None, True, "auc 0.5000: no champion to compare with"),
        ("auc>=champion", math.nan, None, False, "auc nan: no champion to compare with"),
        ("auc>=0.5", math.nan, 0.5, False, "auc nan is not >= 0.5"),
        ("auc>=champion", 0.9, math.nan, False, "auc 0.9000 is not >= nan (champion nan + 0)"),
    ],
)
def test_gate_compares_with_bound_or_champion(
    text: str, challenger: float, champion: float | None, passed: bool, sentence: str
) -> None:
    found = check(parse(text), {"auc": challenger}, None if champion is None else {"auc": champion})
    assert (found.passed, found.sentence) == (passed, sentence)


def test_metric_that_was_not_logged_is_refused() -> None:
    assert (
        check(parse("auc>=0"), {"brier": 0.1}, None).sentence == "auc: the new version logged none; it logged brier"
    )
    missing = check(parse("auc>=champion"), {"auc": 0.9}, {})
    assert (missing.passed, missing.sentence) == (False, "auc: the champion logged none; it logged nothing")
