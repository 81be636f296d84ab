"""Times as options take them."""

from __future__ import annotations

import argparse

import pytest

from tests.cluster.kube.conftest import tidegate_kube


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("2h", 7200), ("1d", 86400)]
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["m", "0s", "0", "-1m", "1h30m", "1w", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"90, 90s, 15m, 1h or 1d is accepted"):
        seconds(text)


@pytest.mark.parametrize("arguments", [["up", "dev", "--timeout"], ["train", "--timeout"], ["logs", "--since"]])
def test_the_option_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        tidegate_kube(*arguments, "soon")
    assert f"argument {arguments[-1]}: 'soon' is no time above zero" in capsys.readouterr().err
