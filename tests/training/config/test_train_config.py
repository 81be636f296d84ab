"""Configuration of a training run: what is read, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.training.config.train_config import ConfigError, read_config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("recipe: flights\nmodel: flights\nbatch_size: 64\noptions:\n  features: static\n")
    return file


def test_overrides_reach_into_options(path: Path) -> None:
    config = read_config(path, ["epochs=3", "options.dropout=0.2", "options.features=online"])
    assert config.epochs == 3
    assert config.options == {"features": "online", "dropout": 0.2}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("epochs=0", "epochs = 0: "),
        ("epoch=3", "epoch = 3: Extra inputs are not permitted"),
        ("learning_rate=fast", "learning_rate = 'fast': "),
        ("device=tpu", "device = 'tpu': "),
        ("model=../etc", "model = '../etc': "),
        ("workers=0", "workers = 0: "),
        ("workers=8:2", "workers = '8:2': Value error, accepted is a number from 1, or a range such as 2:8"),
        ("layout.tp=0", "layout.tp = 0: "),
        ("layout.schedule=Fast", "layout.schedule = 'Fast': "),
        ("profile=7", "profile = 7: "),
        ("parameter_server.servers=2", "parameter_server: without effect; accepted is strategy: parameter_server"),
        ("epochs", "accepted is key=value"),
        ("epochs=[", "'[' is not YAML"),
        ("model.x=1", "model is a value, not a group"),
    ],
)
def test_refused_by_field_and_value(path: Path, override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(path, [override])
    assert sentence in str(refused.value)


@pytest.mark.parametrize(("text", "sentence"), [("- a", "must hold a mapping"), ("a: [", "is not YAML")])
def test_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_config(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["layout.dp_shard=2"], "layout: parameter servers have none"),
        (["workers=2:4"], "workers = '2:4': accepted with parameter servers is a fixed number"),
        (["keep_best=1"], "keep_best = 1: without effect on parameter servers"),
        (["device=gpu"], "device = 'gpu': parameter servers compute on CPUs"),
        (["parameter_server.mode=fast"], "parameter_server.mode = 'fast': "),
    ],
)
def test_field_without_effect_on_parameter_servers_is_refused(
    path: Path, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_config(path, ["strategy=parameter_server", *overrides])
    assert sentence in str(refused.value)


def test_a_range_is_not_a_number_to_base_60(path: Path) -> None:
    path.write_text(path.read_text() + "workers: 2:8\n")
    assert (read_config(path).min_workers, read_config(path).max_workers) == (2, 8)
    assert read_config(path, ["workers=3:4"]).max_workers == 4
    assert read_config(path, ["seed=0x1F", "batch_size=1_024"]).batch_size == 1024
