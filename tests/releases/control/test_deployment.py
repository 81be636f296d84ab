"""The life of a version on a real Ray cluster: what is refused, and that nothing of a failed one is left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from app.registry import SERVING_TAG, ModelPackage, RegistryError, UnknownVersionError, log_version
from app.releases.control.deployment import bring_up, take_down
from app.routing.readback import gateway_handle
from app.routing.route_store import RouteStore, connect
from app.routing.route_table import RouteError, RouteTable
from app.serving.deploy import Deployed, DeployError, delete, deploy, running
from app.settings import Settings
from tests.support.models import SIGNATURE, log_scorer

T = TypeVar("T")


def with_store(settings: Settings, work: Any) -> Any:
    """Run ``work(store, gateway)`` with a connection of its own."""

    async def run() -> Any:
        redis = connect(settings.redis)
        try:
            return await work(RouteStore(redis), gateway_handle(settings.gateway.app_name))
        finally:
            await redis.aclose()

    return asyncio.run(run())


def up(settings: Settings, registry: MlflowClient, model: str, version: str) -> Deployed:
    found = with_store(
        settings, lambda store, gateway: bring_up(registry, store, gateway, model, version, settings.serving)
    )
    assert isinstance(found, Deployed)
    return found


def table(settings: Settings, model: str) -> RouteTable | None:
    found: RouteTable | None = with_store(settings, lambda store, gateway: store.read(model))
    return found


def test_bring_up_is_idempotent_and_take_down_deletes(driver: Settings, registry: MlflowClient) -> None:
    version = log_scorer("life")
    first = up(driver, registry, "life", version)
    assert running()[first.app] == "RUNNING"
    assert up(driver, registry, "life", version).app == first.app

    delete(first.app)  # behind the route table's back, as the loss of a cluster does
    second = up(driver, registry, "life", version)
    assert second.app != first.app
    assert table(driver, "life").apps == {version: second.app}  # type: ignore[union-attr]

    third = deploy(registry, "life", version, driver.serving)  # as a command that was killed half-way leaves it
    with_store(driver, lambda store, gateway: take_down(store, gateway, "life", version))
    assert not {second.app, third.app} & set(running())
    assert table(driver, "life").apps == {}  # type: ignore[union-attr]
    with pytest.raises(RouteError, match=f"version {version} of life is not deployed; deployed: none"):
        with_store(driver, lambda store, gateway: take_down(store, gateway, "life", version))


def test_what_the_registry_does_not_hold(driver: Settings, registry: MlflowClient) -> None:
    version = log_scorer("held")
    with pytest.raises(UnknownVersionError, match=f"no version 99 of held; it holds {version}"):
        deploy(registry, "held", "99", driver.serving)
    with pytest.raises(UnknownVersionError, match="no model named absent"):
        deploy(registry, "absent", "1", driver.serving)


def test_a_version_that_does_not_load_leaves_nothing(
    driver: Settings, registry: MlflowClient, tmp_path: Path
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import os, mlflow, pandas as pd\n"
        "from mlflow.pyfunc.model import PythonModel\n"
        "class Broken(PythonModel):\n"
        "    def load_context(self, context):\n"
        "        if 'RAY_RAYLET_PID' in os.environ: raise OSError('the weights are gone')\n"
        "    def predict(self, context, model_input, params=None): return pd.DataFrame({'score': model_input['x']})\n"
        "mlflow.models.set_model(Broken())\n"
    )
    example = pd.DataFrame({"x": [1.0], "user": ["u"]})
    package = ModelPackage(script, (), {}, SIGNATURE, example, requirements=("pandas",))
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        version = log_version(package, "broken", {})
    before = set(running())
    with pytest.raises(DeployError, match="the weights are gone"):
        deploy(registry, "broken", version, driver.serving)
    assert set(running()) == before
    assert table(driver, "broken") is None


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{not json", "must hold a JSON object"),
        ("[1]", "must hold a JSON object"),
        (json.dumps({"replicas": 2}), "unknown replicas; accepted are min_replicas"),
        (json.dumps({"min_replicas": -1}), "min_replicas"),
        (json.dumps({"min_replicas": 3, "max_replicas": 2}), "min_replicas 3 is more than max_replicas 2"),
    ],
)
def test_a_serving_entry_that_cannot_be_honoured(
    driver: Settings, registry: MlflowClient, entry: str, sentence: str
) -> None:
    version = log_scorer("entry")
    registry.set_registered_model_tag("entry", SERVING_TAG, entry)
    with pytest.raises(RegistryError, match=sentence):
        deploy(registry, "entry", version, driver.serving)


def test_entry_of_a_version_wins_over_its_models_entry(driver: Settings, registry: MlflowClient) -> None:
    from ray import serve

    version = log_scorer("sized")
    registry.set_registered_model_tag("sized", SERVING_TAG, json.dumps({"min_replicas": 1, "max_replicas": 3}))
    registry.set_model_version_tag("sized", version, SERVING_TAG, json.dumps({"min_replicas": 2}))
    deployed = deploy(registry, "sized", version, driver.serving)
    states = serve.status().applications[deployed.app].deployments["Version"].replica_states
    assert sum(states.values()) == 2
    delete(deployed.app)
