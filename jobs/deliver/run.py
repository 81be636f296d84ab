"""A delivery: training, offline gates, and a release that is followed to its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient

from app.exit_codes import GATE_CLOSED
from app.model_spec import CHAMPION
from app.recipes import find_recipe
from app.registry import alias, connect, find
from app.settings import Settings
from app.terminal import console
from app.training.config.train_config import TrainConfig
from app.training.driver.run import Trained
from jobs.deliver.offline_gate import OfflineGate, Outcome, check
from jobs.release.client import Body, ReleaseError, Releases
from jobs.release.follow import follow
from jobs.release.sentences import EXIT_CODES
from jobs.train.run import run

GATE_TAG = "tidegate.gate"
"""Tag of a version: what the offline gates said."""
TEST_METRICS = "test."
"""Prefix of the names of the metrics on held-out rows, where a run logged them."""


def deliver(
    config: TrainConfig,
    gates: Sequence[OfflineGate],
    plan: Body,
    settings: Settings,
    fresh: bool,
    result: dict[str, Any],
) -> int:
    """Train, compare, release and follow; returns the exit code.

    Args:
        plan: of the release.
        fresh: train anew, although this run was stopped before its end.
        result: takes what is known so far, also of a delivery that fails.

    Raises:
        StoppedError: the training was stopped behind a checkpoint.
        ReleaseError: the release is refused, or cannot be followed.
        Exception: what :func:`jobs.train.run.run` raises.
    """
    recipe = find_recipe(config.recipe, config.options)
    with Releases(settings.gateway) as releases:
        _require_none_live(releases, config.model)  # before hours of training
        trained = run(config, recipe, settings, fresh)
        result |= dataclasses.asdict(trained)
        outcomes = _gated(connect(settings.mlflow), trained, gates)
        result["gates"] = [outcome.sentence for outcome in outcomes]
        if not all(outcome.passed for outcome in outcomes):
            return GATE_CLOSED
        return _released(releases, trained, plan, result)


def _require_none_live(releases: Releases, model: str) -> None:
    for found in releases.newest(model, 1):
        if not found["ended"]:
            raise ReleaseError(f"model {model} has a release under way: {found['id']}; end it, or wait for its end")


def _gated(client: MlflowClient, trained: Trained, gates: Sequence[OfflineGate]) -> list[Outcome]:
    """Returns what the gates say, which is tagged at the version too."""
    if not gates:
        return []
    held = alias(client, trained.model, CHAMPION)
    champion = None if held is None else logged(client, trained.model, held)
    outcomes = [check(gate, trained.metrics, champion) for gate in gates]
    for outcome in outcomes:
        print(f"{'passed' if outcome.passed else 'refused'}: {outcome.sentence}", flush=True)
    verdict = "passed" if all(outcome.passed for outcome in outcomes) else "refused"
    figures = "; ".join(outcome.sentence for outcome in outcomes)
    client.set_model_version_tag(trained.model, trained.version, GATE_TAG, f"{verdict}: {figures}"[:4000])
    return outcomes


def logged(client: MlflowClient, model: str, version: str) -> Mapping[str, float]:
    """Returns metric -> value on the held-out rows, as a version's training logged it; empty where no run made it."""
    run_id = find(client, model, version).run_id
    metrics = client.get_run(run_id).data.metrics if run_id else {}
    return {
        name.removeprefix(TEST_METRICS): value for name, value in metrics.items() if name.startswith(TEST_METRICS)
    }


def _released(releases: Releases, trained: Trained, plan: Body, result: dict[str, Any]) -> int:
    begun = releases.begin(trained.model, trained.version, plan)
    result["release"] = begun["id"]
    state = follow(releases, begun["id"], console())
    result |= {"state": state["state"], "reason": state["reason"]}
    return EXIT_CODES[state["state"]]
