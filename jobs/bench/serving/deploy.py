"""Deploys what a Ray cluster under test serves, as commands beside it: ``python -m jobs.bench.serving.deploy WHAT``.

A process of its own, because Ray's variables differ between the clusters and Ray reads them once. What it deploys
outlives it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from ray import serve
from ray.serve.handle import DeploymentHandle

from app.clock import now_us
from app.features import REJECT, Feature, FeatureView, OnlineStore, Row, to_document
from app.redis_client import connect as connect_redis
from app.registry import SERVING_TAG, ModelPackage, connect, log_version
from app.releases.control.deployment import FOLLOW_TIMEOUT_S, bring_up, move_inline
from app.routing.readback import await_followed
from app.routing.route_store import RouteStore
from app.routing.route_table import with_weights
from app.settings import Settings, get_settings
from jobs.bench.serving.bare_serve import APPLICATIONS
from jobs.bench.serving.v2_request import DISTINCT, numbers, user
from jobs.connect import cluster, gateway

DEDICATED, INLINE, CACHED, LOOKED_UP = "bench-dedicated", "bench-inline", "bench-cache", "bench-features"
CACHE_TTL_S = 3600
VIEW = FeatureView(
    "user", ("user",), tuple(Feature(name, "float64", REJECT) for name in "abcd"), 24 * 3600, "at", "the benchmark"
)
_MODEL = Path(__file__).parent / "model"
_NUMBER = np.dtype(np.float64)


def log_model(model: str) -> str:
    """Register the dot product as a new version of ``model``."""
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_MODEL / "dot_model.py"),
            code_paths=[str(_MODEL / "dot.py")],
            signature=ModelSignature(
                inputs=Schema([TensorSpec(_NUMBER, (-1, 4), "x")]), outputs=Schema([TensorSpec(_NUMBER, (-1,), "y")])
            ),
            input_example={"x": np.ones((1, 4))},
            pip_requirements=["numpy"],
            registered_model_name=model,
        )
    return str(info.registered_model_version)


def log_looked_up() -> str:
    """Register the dot product over a user's features as a new version."""
    columns = list(VIEW.columns)
    inputs = [ColSpec("string", "user"), *(ColSpec("double", name, required=False) for name in columns)]
    package = ModelPackage(
        script=_MODEL / "looked_up_model.py",
        code=(_MODEL / "dot.py",),
        artifacts={},
        signature=ModelSignature(
            inputs=Schema(list[ColSpec | TensorSpec](inputs)), outputs=Schema([ColSpec("double", "y")])
        ),
        example=pd.DataFrame({"user": ["warm"], **{name: [1.0] for name in columns}}),
        features=tuple(columns),
        feature_views=(to_document(VIEW),),
        requirements=("numpy", "pandas"),
    )
    with mlflow.start_run():
        return log_version(package, LOOKED_UP, {})


async def deploy_looked_up(settings: Settings, handle: DeploymentHandle[Any]) -> None:
    """One version whose numbers are looked up, in replicas of its own, and the rows of every user asked for."""
    client = connect(settings.mlflow)
    redis = connect_redis(settings.redis)
    online = OnlineStore(redis, settings.features.write_timeout_s)
    now = now_us()
    await online.write(VIEW, (((user(index),), Row(now, tuple(numbers(index)))) for index in range(DISTINCT)))
    version = await asyncio.to_thread(log_looked_up)
    await give_all(settings, RouteStore(redis), handle, client, LOOKED_UP, version)
    await redis.aclose()


async def deploy_cached(settings: Settings, handle: DeploymentHandle[Any]) -> None:
    """One version whose answers are kept, in replicas of its own."""
    client = connect(settings.mlflow)
    redis = connect_redis(settings.redis)
    version = await asyncio.to_thread(log_model, CACHED)
    client.set_registered_model_tag(CACHED, SERVING_TAG, json.dumps({"cache_ttl_s": CACHE_TTL_S}))
    await give_all(settings, RouteStore(redis), handle, client, CACHED, version)
    await redis.aclose()


async def give_all(
    settings: Settings,
    store: RouteStore,
    handle: DeploymentHandle[Any],
    client: MlflowClient,
    model: str,
    version: str,
) -> None:
    """Deploy a version and give it all the traffic."""
    await bring_up(client, store, handle, model, version, settings.serving)
    table = await store.change(model, lambda held, now_ms: with_weights(held, {version: 1.0}, now_ms))
    await await_followed(handle, model, table.revision, FOLLOW_TIMEOUT_S)


async def deploy_versions(settings: Settings, handle: DeploymentHandle[Any], model: str, inline: bool) -> None:
    """Two versions of ``model``: both with traffic, in replicas of their own; or one with all of it in the gateway's
    replicas, and one beside it that has none, as after a release."""
    client = connect(settings.mlflow)
    redis = connect_redis(settings.redis)
    store = RouteStore(redis)
    weights = {}
    for share in (1.0, 0.0) if inline else (0.5, 0.5):
        version = await asyncio.to_thread(log_model, model)
        await bring_up(client, store, handle, model, version, settings.serving)
        weights[version] = share
    table = await store.change(model, lambda held, now_ms: with_weights(held, weights, now_ms))
    await await_followed(handle, model, table.revision, FOLLOW_TIMEOUT_S)
    if inline:
        champion = max(weights, key=lambda version: weights[version])
        await move_inline(store, handle, model, champion, settings.serving.deploy_timeout_s)
    await redis.aclose()


def deploy_bare() -> None:
    """The applications of bare Ray Serve, each at ``/NAME``."""
    for name, application in APPLICATIONS.items():
        serve.run(application, name=name, route_prefix=f"/{name}")


def main(argv: list[str]) -> int:
    """Connect, deploy, leave."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.serving.deploy", description=__doc__)
    parser.add_argument("what", choices=("dedicated", "inline", "cache", "features", "bare"))
    parser.add_argument("--port", type=int, help="for bare: start Serve with this HTTP port on 127.0.0.1")
    options = parser.parse_args(argv)
    settings = get_settings()
    with cluster(settings.ray):
        if options.what == "bare":
            if options.port is not None:
                serve.start(http_options={"host": "127.0.0.1", "port": options.port})
            deploy_bare()
        else:
            inline = options.what == "inline"
            with gateway(settings.gateway.app_name) as handle:
                match options.what:
                    case "cache":
                        asyncio.run(deploy_cached(settings, handle))
                    case "features":
                        asyncio.run(deploy_looked_up(settings, handle))
                    case _:
                        asyncio.run(deploy_versions(settings, handle, INLINE if inline else DEDICATED, inline))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
