"""Train a recipe on Ray Train and register the result as a new version of a model.

On a laptop:  python -m jobs.train --config flights-online
Only checked: python -m jobs.train --config 8b-64gpu --dry-run
On a cluster: RAY_AUTH_MODE=token ray job submit --working-dir . -- python -m jobs.train --config flights-online

Exit code: 0 registered (or checked), 1 training failed or the registry is away, 2 the configuration is refused.
The last line of the output is one JSON object that describes the registered version.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException

from app.recipes import SHIPPED, find_recipe
from app.registry import RegistryError, connect
from app.settings import SettingsError, get_settings
from app.training.config import ConfigError, TrainConfig, read_config
from app.training.run import TrainingError, train
from jobs.connect import cluster
from jobs.dry_run import dry_run

CONFIGS = Path(__file__).parent / "configs"


def main(argv: list[str] | None = None) -> int:
    """Parse, refuse early, run."""
    options = _parser().parse_args(argv)
    try:
        settings = get_settings()
        overrides = [*options.set, *(f"{name}={json.dumps(value)}" for name, value in _flags(options))]
        config = read_config(_config_path(options.config), overrides)
        recipe = find_recipe(config.recipe, config.options)
        if options.dry_run:
            dry_run(config, recipe)
            return 0
    except (ConfigError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        client = connect(settings.mlflow)
        with cluster(settings.ray):
            trained = train(config, recipe, settings, client, say=_say)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (TrainingError, RegistryError, MlflowException, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(trained)), flush=True)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _flags(options: argparse.Namespace) -> list[tuple[str, object]]:
    return [(name, value) for name in ("workers", "model", "seed") if (value := getattr(options, name)) is not None]


def _config_path(name: str) -> Path:
    path = Path(name)
    shipped = CONFIGS / f"{name}.yaml"
    if not path.is_file() and shipped.is_file():
        return shipped
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in CONFIGS.glob("*.yaml")))
        raise ConfigError(f"--config {name}: no such file; shipped are {names}")
    return path


def _parser() -> argparse.ArgumentParser:
    fields = "\n".join(
        f"  {name:17} {field.description}"
        + ("" if field.is_required() else f" [{field.get_default(call_default_factory=True)}]")
        for name, field in TrainConfig.model_fields.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m jobs.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"fields of a configuration [default]:\n{fields}\n\nshipped recipes: {', '.join(SHIPPED)}",
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
    parser.add_argument("--dry-run", action="store_true", help="print mesh, parameters and memory per rank; no run")
    parser.add_argument("--workers", type=int, metavar="N", help="data-parallel worker processes")
    parser.add_argument("--model", help="name in the registry")
    parser.add_argument("--seed", type=int, help="seed of the run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
