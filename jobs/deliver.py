"""Train a model and release it, in one job: train, compare with the champion, register, release, follow.

On a laptop:  python -m jobs.deliver --config flights-online --gate 'auc>=champion-0.005' --plan canary
On a cluster: RAY_AUTH_MODE=token ray job submit --working-dir . -- python -m jobs.deliver --config … --plan …

Training is that of `python -m jobs.train`, which ends with a registered version. Each --gate compares a metric on the
held-out rows with a number or with what the champion's own training logged; one that does not hold ends the job here,
with the figures, and the version's tag `tidegate.gate` says so. The release is then begun over the gateway's HTTP and
followed as `python -m jobs.release begin --follow` does; it goes on by itself when this job ends.

Exit code: 0 promoted, 3 rolled back, 4 cancelled, 5 an offline gate does not hold, 1 refused or failed, 2 not
understood (configuration and plan included), 75 training was stopped behind a checkpoint (the same command goes on
there), 130 no longer followed. The last line of the output is one JSON object: the version, its gates, its release.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from rich.console import Console

from app.model_spec import CHAMPION
from app.recipes import find_recipe
from app.registry import alias, connect, find
from app.releases.model.plan import PlanError
from app.settings import SettingsError, get_settings
from app.training.config.train_config import ConfigError, read_config
from app.training.config.world_sizes import check_early
from app.training.driver.run import Trained
from app.training.driver.supervisor import StoppedError
from jobs.offline_gate import OfflineGate, Outcome, check, parse
from jobs.release.__main__ import INTERRUPTED, no_longer_followed
from jobs.release.client import Body, ReleaseError, Releases
from jobs.release.follow import follow
from jobs.release.plans import names, read
from jobs.release.words import ENDS, FAILED, NOT_UNDERSTOOD
from jobs.train import FAILURES, STOPPED, config_path, run

GATE_CLOSED = 5
GATE_TAG = "tidegate.gate"
"""Tag of a version: what the offline gates said."""
TEST_METRICS = "test."
"""What the names of the metrics on held-out rows begin with where a run logged them."""


def main(argv: list[str] | None = None) -> int:
    """Parse, refuse early, run."""
    options = _parser().parse_args(argv)
    told: dict[str, Any] = {}
    try:
        settings = get_settings()
        plan = read(options.plan)
        workers = [] if options.workers is None else [f"workers={json.dumps(options.workers)}"]
        config = read_config(config_path(options.config), [*options.set, *workers])
        check_early(config)
        recipe = find_recipe(config.recipe, config.options)
        with Releases(settings.gateway) as releases:
            _require_none_live(releases, config.model)  # before hours of training
            trained = run(config, recipe, settings, options.fresh)
            told |= dataclasses.asdict(trained)
            outcomes = _gated(connect(settings.mlflow), trained, options.gate)
            told["gates"] = [outcome.said for outcome in outcomes]
            if not all(outcome.passed for outcome in outcomes):
                return GATE_CLOSED
            return _released(releases, trained, plan, told)
    except (ConfigError, PlanError, SettingsError) as error:
        print(error, file=sys.stderr)
        return NOT_UNDERSTOOD
    except StoppedError as error:
        print(error)
        told |= {"model": config.model, "stopped_at_step": error.step}
        return STOPPED
    except (*FAILURES, ReleaseError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(no_longer_followed(told.get("release", "")), file=sys.stderr)
        return INTERRUPTED
    finally:
        if told:
            print(json.dumps(told), flush=True)


def _require_none_live(releases: Releases, model: str) -> None:
    for found in releases.newest(model, 1):
        if not found["ended"]:
            raise ReleaseError(f"model {model} has a release under way: {found['id']}; end it, or wait for its end")


def _gated(client: MlflowClient, trained: Trained, gates: Sequence[OfflineGate]) -> list[Outcome]:
    """What the gates say; noted at the version."""
    if not gates:
        return []
    held = alias(client, trained.model, CHAMPION)
    champion = None if held is None else logged(client, trained.model, held)
    outcomes = [check(gate, trained.metrics, champion) for gate in gates]
    for outcome in outcomes:
        print(f"{'passed' if outcome.passed else 'refused'}: {outcome.said}", flush=True)
    verdict = "passed" if all(outcome.passed for outcome in outcomes) else "refused"
    said = "; ".join(outcome.said for outcome in outcomes)
    client.set_model_version_tag(trained.model, trained.version, GATE_TAG, f"{verdict}: {said}"[:4000])
    return outcomes


def logged(client: MlflowClient, model: str, version: str) -> Mapping[str, float]:
    """What a version's training logged of the held-out rows: metric -> value; empty where no run made it."""
    run_id = find(client, model, version).run_id
    metrics = client.get_run(run_id).data.metrics if run_id else {}
    return {
        name.removeprefix(TEST_METRICS): value for name, value in metrics.items() if name.startswith(TEST_METRICS)
    }


def _released(releases: Releases, trained: Trained, plan: Body, told: dict[str, Any]) -> int:
    begun = releases.begin(trained.model, trained.version, plan)
    told["release"] = begun["id"]
    state = follow(releases, begun["id"], Console())
    told |= {"state": state["state"], "reason": state["reason"]}
    return ENDS[state["state"]]


def _gate(text: str) -> OfflineGate:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.deliver", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, metavar="NAME", help="of training: a YAML file, or one shipped")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the configuration"
    )
    parser.add_argument("--workers", metavar="N", help="worker processes; 2:8 takes any number between")
    parser.add_argument("--fresh", action="store_true", help="train anew, though this run was stopped before its end")
    parser.add_argument(
        "--gate",
        action="append",
        default=[],
        type=_gate,
        metavar="GATE",
        help="METRIC>=BOUND or METRIC<=BOUND; the bound may be champion plus or minus a number; may be repeated",
    )
    parser.add_argument("--plan", required=True, help=f"of the release: a YAML file, or one of {', '.join(names())}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
