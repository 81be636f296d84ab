"""Train a recipe on Ray Train and register the result as a new version of a model.

On a laptop:  python -m jobs.train --config flights-online
Only checked: python -m jobs.train --config 8b-64gpu --dry-run
On a cluster: RAY_AUTH_MODE=token ray job submit --working-dir . -- python -m jobs.train --config flights-online

A job that is stopped (Ctrl-C, SIGTERM, `ray job stop`) writes a checkpoint first; the same command goes on there. For
`ray job stop` the head must run with RAY_JOB_STOP_WAIT_TIME_S=90 or so (the local stack does): Ray kills after 3 s.

Exit code: 0 registered, or checked; 1 training failed or the registry is away; 2 the configuration is refused;
75 stopped behind a checkpoint. The last line of the output is one JSON object: the version, or where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mlflow.exceptions import MlflowException
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ray.exceptions import RayError

from app.recipes import SHIPPED, find_recipe
from app.registry import RegistryError, connect
from app.settings import Settings, SettingsError, get_settings
from app.training.config.parallel_dims import ParallelConfig
from app.training.config.train_config import ConfigError, TrainConfig, read_config
from app.training.config.world_sizes import check_early
from app.training.driver.run import Trained, train
from app.training.driver.run_lock import RunTakenError
from app.training.driver.supervisor import StoppedError, TrainingError
from app.training.recipe import Recipe
from app.training.tracking.progress import Say
from app.training.worker.probe import ExportError
from jobs.connect import cluster
from jobs.dry_run import dry_run

STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: not done, try again."""
LOG_EVERY_S = 5.0
"""Seconds between lines of progress in a job's log."""
FAILURES = (
    TrainingError,
    ExportError,
    RunTakenError,
    RegistryError,
    MlflowException,
    RayError,
    ConnectionError,
    OSError,
)
"""What a run may end with that is told in a sentence."""
CONFIGS = Path(__file__).parent / "configs"


def main(argv: list[str] | None = None) -> int:
    """Parse, refuse early, run."""
    options = _parser().parse_args(argv)
    try:
        settings = get_settings()
        overrides = [*options.set, *(f"{name}={json.dumps(value)}" for name, value in _flags(options))]
        config = read_config(config_path(options.config), overrides)
        check_early(config)
        recipe = find_recipe(config.recipe, config.options)
        if options.dry_run:
            dry_run(config, recipe)
            return 0
    except (ConfigError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        trained = run(config, recipe, settings, options.fresh)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except StoppedError as error:
        print(error)
        print(json.dumps({"model": config.model, "stopped_at_step": error.step}), flush=True)
        return STOPPED
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(trained)), flush=True)
    return 0


def run(config: TrainConfig, recipe: Recipe, settings: Settings, fresh: bool) -> Trained:
    """Train and register, showing progress, until the end or a signal to stop.

    Raises:
        ConfigError: the cluster or the data refuse the configuration.
        StoppedError: it was stopped behind a checkpoint.
        FAILURES: it failed.
    """
    client = connect(settings.mlflow)
    with cluster(settings.ray), stopped_by_signals() as stop, status_line() as show:
        return train(config, recipe, settings, client, _say, show, stop, fresh)


def _say(line: str) -> None:
    print(f"\r\033[K{line}" if sys.stdout.isatty() else line, flush=True)


@contextmanager
def status_line() -> Iterator[Say]:
    """Where progress is shown: one line that is written over on a terminal, lines now and then elsewhere."""
    if not sys.stdout.isatty():
        yield Sometimes(_say, LOG_EVERY_S)
        return
    yield lambda line: print(f"\r\033[K{line}", end="", flush=True)
    print("\r\033[K", end="", flush=True)


class Sometimes:
    """Passes on at most one line every ``every_s`` seconds."""

    def __init__(self, say: Say, every_s: float) -> None:
        self._say, self._every_s = say, every_s
        self._said_at = -math.inf

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._said_at >= self._every_s:
            self._said_at = time.monotonic()
            self._say(line)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C ends the job at once."""
    stop = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _flags(options: argparse.Namespace) -> list[tuple[str, object]]:
    return [
        (name, value)
        for name in ("workers", "model", "seed", "profile")
        if (value := getattr(options, name)) is not None
    ]


def config_path(name: str) -> Path:
    """A configuration's file by path, or by the name of a shipped one.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    shipped = CONFIGS / f"{name}.yaml"
    if not path.is_file() and shipped.is_file():
        return shipped
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in CONFIGS.glob("*.yaml")))
        raise ConfigError(f"--config {name}: no such file; shipped are {names}")
    return path


def _parser() -> argparse.ArgumentParser:
    groups = {
        "fields of a configuration": TrainConfig.model_fields,
        "fields of its group layout": ParallelConfig.model_fields,
    }
    described = "\n\n".join(f"{title} [default]:\n{_described(fields)}" for title, fields in groups.items())
    parser = argparse.ArgumentParser(
        prog="python -m jobs.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{described}\n\nshipped recipes: {', '.join(SHIPPED)}",
    )
    parser.add_argument(
        "--config", required=True, metavar="NAME", help="a YAML file, or the name of one in jobs/configs"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="lay a value over the file, such as options.dropout=0.1",
    )
    parser.add_argument("--workers", metavar="N", help="worker processes; 2:8 takes any number between")
    parser.add_argument("--dry-run", action="store_true", help="print mesh, parameters and memory per rank; no run")
    parser.add_argument("--model", help="name in the registry")
    parser.add_argument("--seed", type=int, help="seed of the run")
    parser.add_argument("--profile", metavar="STEPS", help="steps to profile, such as 20:25")
    parser.add_argument("--fresh", action="store_true", help="begin anew, though this run was stopped before its end")
    return parser


def _described(fields: Mapping[str, FieldInfo]) -> str:
    lines = []
    for name, field in fields.items():
        known = not field.is_required() and not isinstance(_default(field), BaseModel)
        lines.append(f"  {name:24} {field.description}" + (f" [{_default(field)}]" if known else ""))
    return "\n".join(lines)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


if __name__ == "__main__":
    sys.exit(main())
