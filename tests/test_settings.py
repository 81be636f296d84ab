"""The settings tree: where values come from, and what is said of a wrong or unknown variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, rows, unknown_variables, variables


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIDEGATE_STATE_DIR", str(tmp_path))
    return tmp_path


def test_environment_wins_over_the_stack_file_and_the_file_over_defaults(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "stack.env").write_text("TIDEGATE_GATEWAY_URL=http://file\nTIDEGATE_MLFLOW_TRACKING_URI=http://file\n")
    monkeypatch.setenv("TIDEGATE_GATEWAY_URL", "http://environment")
    settings = Settings.load()
    found = {row.name: (row.value, row.source) for row in rows(settings)}
    assert found["TIDEGATE_GATEWAY_URL"] == ("http://environment", "environment")
    assert found["TIDEGATE_MLFLOW_TRACKING_URI"] == ("http://file", str(state / "stack.env"))
    assert found["TIDEGATE_REDIS_URL"] == ("redis://127.0.0.1:6379/0", "default")


def test_every_variable_reaches_its_field(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in rows(Settings.load()):
        if isinstance(row.value, bool | type(None)) or not isinstance(row.value, int | float):
            continue
        value = 0.5 if isinstance(row.value, float) and row.value <= 1 else row.value + 1
        monkeypatch.setenv(row.name, str(value))
        assert {found.name: found.value for found in rows(Settings.load())}[row.name] == value
        monkeypatch.delenv(row.name)


@pytest.mark.parametrize(
    ("value", "scopes"), [("", ()), ("predict", ("predict",)), ("predict, release", ("predict", "release"))]
)
def test_anonymous_scopes_are_read_as_a_list(
    state: Path, monkeypatch: pytest.MonkeyPatch, value: str, scopes: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TIDEGATE_GATEWAY_ANONYMOUS", value)
    assert Settings.load().gateway.anonymous == scopes


def test_node_labels_are_read_as_pairs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TRAINING_NODE_LABELS", "tidegate.dev/role=training, zone=!b")
    settings = Settings.load()
    assert settings.training.node_labels == {"tidegate.dev/role": "training", "zone": "!b"}
    found = {row.name: row.value for row in rows(settings)}
    assert found["TIDEGATE_TRAINING_NODE_LABELS"] == "tidegate.dev/role=training,zone=!b"
    assert found["TIDEGATE_SERVING_NODE_LABELS"] == ""


@pytest.mark.parametrize("value", ["role", "role=", "=serving", "role=in(a,b)", "ro le=x"])
def test_invalid_node_labels_are_refused(state: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TIDEGATE_SERVING_NODE_LABELS", value)
    with pytest.raises(SettingsError, match="TIDEGATE_SERVING_NODE_LABELS"):
        Settings.load()


def test_every_field_is_described() -> None:
    assert all(variables().values())


def test_settings_cannot_be_changed(state: Path) -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.gateway.min_replicas = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEGATE_ROUTING_DEADLINE_S", "soon"),
        ("TIDEGATE_ROUTING_DEADLINE_S", "0"),
        ("TIDEGATE_ROUTING_DEADLINE_S", "inf"),
        ("TIDEGATE_ROUTING_RETRY_RATIO", "1.5"),
        ("TIDEGATE_GATEWAY_MIN_REPLICAS", "0"),
        ("TIDEGATE_GATEWAY_ANONYMOUS", "admin"),
    ],
)
def test_refused_value_names_its_variable(
    state: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}='{value}': "):
        Settings.load()


def test_a_refused_secret_is_not_shown(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_GATEWAY_ADMIN_KEY_HASH", "not-a-hash")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert "TIDEGATE_GATEWAY_ADMIN_KEY_HASH" in str(refused.value)
    assert "not-a-hash" not in str(refused.value)


def test_a_refused_combination_shows_no_secret(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_GATEWAY_MIN_REPLICAS", "9")
    monkeypatch.setenv("TIDEGATE_GATEWAY_ADMIN_KEY", "hunter2")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert str(refused.value).startswith("TIDEGATE_GATEWAY_*: ")
    assert "min_replicas 9 is more than max_replicas 4" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_group_cannot_be_set_as_a_whole(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_REDIS", '{"url": "redis://elsewhere"}')
    with pytest.raises(SettingsError, match="TIDEGATE_REDIS is a group of settings; set TIDEGATE_REDIS_URL, "):
        Settings.load()


def test_credentials_in_an_address_are_masked(state: Path) -> None:
    shown = run("--json", TIDEGATE_REDIS_URL="redis://:hunter2@127.0.0.1:6379/0")
    assert json.loads(shown.stdout)["TIDEGATE_REDIS_URL"]["value"] == "redis://**********@127.0.0.1:6379/0"


def test_unknown_variables_are_named() -> None:
    environ = {"TIDEGATE_GATEWAY_MIN_REPLICS": "2", "TIDEGATE_GATEWAY_MIN_REPLICAS": "2", "HOME": "/"}
    assert unknown_variables(environ) == ["TIDEGATE_GATEWAY_MIN_REPLICS"]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", "settings", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_prints_sources_and_masks_secrets(state: Path) -> None:
    shown = run("--json", TIDEGATE_REDIS_PASSWORD="hunter2", TIDEGATE_REDIS_TIMEOUT_S="7")
    assert shown.returncode == 0
    assert "hunter2" not in shown.stdout
    found = json.loads(shown.stdout)
    assert found["TIDEGATE_REDIS_PASSWORD"] == {"value": "**********", "source": "environment"}
    assert found["TIDEGATE_REDIS_TIMEOUT_S"] == {"value": 7.0, "source": "environment"}


def test_command_reports_refused_values(state: Path) -> None:
    shown = run(TIDEGATE_ROUTING_DEADLINE_S="soon", TIDEGATE_GATEWAY_MIN_REPLICS="2")
    assert shown.returncode == 2
    assert "TIDEGATE_ROUTING_DEADLINE_S='soon'" in shown.stderr
    assert "TIDEGATE_GATEWAY_MIN_REPLICS is ignored; did you mean TIDEGATE_GATEWAY_MIN_REPLICAS?" in shown.stderr
