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

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from ray import serve

from app.clock import now_us
from app.features import REJECT, Feature, FeatureView, OnlineStore, Row, to_document
from app.redis_client import connect as connect_redis
from app.registry import SERVING_TAG, ModelPackage, connect, log_version
from app.settings import Settings, get_settings
from jobs.bench.serving.bare_serve import APPLICATIONS
from jobs.bench.serving.v2_request import DISTINCT, numbers, user
from jobs.connect import cluster
from jobs.versions.run import connected

WEIGHTS = {"dedicated": (0.5, 0.5), "inline": (1.0, 0.0), "cache": (1.0,), "features": (1.0,)}
"""Weights of the versions that are deployed, by what is asked for."""
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


def log_looked_up(model: str) -> str:
    """Register the dot product over a user's features as a new version of ``model``."""
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
        return log_version(package, model, {})


async def write_features(settings: Settings) -> None:
    """Write the feature row of every user that is asked for."""
    redis = connect_redis(settings.redis)
    online, now = OnlineStore(redis, settings.features.write_timeout_s), now_us()
    await online.write(VIEW, (((user(index),), Row(now, tuple(numbers(index)))) for index in range(DISTINCT)))
    await redis.aclose()


async def deploy_versions(what: str, settings: Settings) -> None:
    """Deploy the versions of ``bench-WHAT`` in replicas of their own and give them their weights.

    Of ``inline`` the first one then moves into the gateway's replicas, and one without weight stays beside it, as
    after a release.
    """
    client, model = connect(settings.mlflow), f"bench-{what}"
    async with connected(settings) as versions:
        weights = {}
        for weight in WEIGHTS[what]:
            weights[await asyncio.to_thread(log_looked_up if what == "features" else log_model, model)] = weight
        if what == "cache":
            client.set_registered_model_tag(model, SERVING_TAG, json.dumps({"cache_ttl_s": CACHE_TTL_S}))
        if what == "features":
            await write_features(settings)
        for version in weights:
            await versions.up(model, version, None)
        await versions.set_weights(model, weights)
        if what == "inline":
            await versions.place(model, next(iter(weights)), "inline")


def deploy_bare() -> None:
    """The applications of bare Ray Serve, each at ``/NAME``."""
    for name, application in APPLICATIONS.items():
        serve.run(application, name=name, route_prefix=f"/{name}")


def main(argv: list[str]) -> int:
    """Connect, deploy, leave."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.serving.deploy", description=__doc__)
    parser.add_argument("what", choices=(*WEIGHTS, "bare"))
    parser.add_argument("--port", type=int, help="for bare: start Serve with this HTTP port on 127.0.0.1")
    options = parser.parse_args(argv)
    settings = get_settings()
    if options.what != "bare":
        asyncio.run(deploy_versions(options.what, settings))
        return 0
    with cluster(settings.ray):
        if options.port is not None:
            serve.start(http_options={"host": "127.0.0.1", "port": options.port})
        deploy_bare()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
