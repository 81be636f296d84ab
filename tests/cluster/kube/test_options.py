"""Options that several verbs have."""

from __future__ import annotations

import pytest
import typer

from cluster.kube.options import duration
from tests.cluster.kube.conftest import tidegate_kube


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("2h", 7200), ("1d", 86400)],
)
def test_duration_in_seconds(text: str, expected: float) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["m", "0s", "0", "-1m", "1z", ""])
def test_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"90, 90s, 15m, 1h30m or 1d is accepted"):
        duration(text)


@pytest.mark.parametrize("arguments", [["train", "--timeout"], ["logs", "--since"]])
def test_option_of_a_refused_duration_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_kube(*arguments, "soon") == 2
    printed = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"Invalid value for '{arguments[-1]}': 'soon' is not a time above zero" in printed


@pytest.mark.parametrize("verb", ["status", "train", "scale", "logs"])
def test_help_is_printed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidegate_kube(verb, "--help") == 0
    assert "--kubeconfig" in capsys.readouterr().out
