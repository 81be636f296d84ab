"""What the scenario puts on the cluster and looks at: ``python -m jobs.bench.head_loss.deploy``, a command beside it.

A process of its own each time: a driver that is connected to the head's node ends with it. The last line of the
output is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import ray
from mlflow import MlflowClient
from ray.serve.handle import DeploymentHandle

from app.registry import connect
from app.releases.control.deployment import bring_up
from app.routing.route_store import RouteStore
from app.routing.route_store import connect as connect_redis
from app.serving.deploy import running
from app.settings import Settings, get_settings
from jobs.bench.serving.deploy import give_all, log_model
from jobs.connect import cluster, gateway

MODEL = "head-loss"
WITNESS = "witness"
ANSWER_S = 60.0


class Witness:
    """A detached actor that holds a number in its memory only."""

    def __init__(self) -> None:
        self._seen = 0

    def see(self) -> int:
        """One more; how many so far."""
        self._seen += 1
        return self._seen


async def first(settings: Settings, handle: DeploymentHandle[Any]) -> None:
    """Register two versions and give the first all the traffic."""
    redis = connect_redis(settings.redis)
    client: MlflowClient = connect(settings.mlflow)
    version = await asyncio.to_thread(log_model, MODEL)
    await asyncio.to_thread(log_model, MODEL)
    await give_all(settings, RouteStore(redis), handle, client, MODEL, version)
    await redis.aclose()


async def another(settings: Settings, handle: DeploymentHandle[Any]) -> float:
    """Deploy the second version beside the first; the seconds that it took."""
    redis = connect_redis(settings.redis)
    deployed = await bring_up(connect(settings.mlflow), RouteStore(redis), handle, MODEL, "2", settings.serving)
    await redis.aclose()
    return deployed.seconds


async def revision(settings: Settings) -> int:
    """The revision of the route table in Redis; 0 without one."""
    redis = connect_redis(settings.redis)
    table = await RouteStore(redis).read(MODEL)
    await redis.aclose()
    return table.revision if table else 0


def main(argv: list[str]) -> int:
    """Connect, do, leave."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.head_loss.deploy", description=__doc__)
    parser.add_argument("what", choices=("first", "another"))
    what = parser.parse_args(argv).what
    settings = get_settings()
    said: dict[str, object] = {}
    actor: Any
    with cluster(settings.ray), gateway(settings.gateway.app_name) as handle:
        if what == "first":
            # A share of a CPU, which the head has none of, keeps it on a worker node.
            actor = ray.remote(Witness).options(name=WITNESS, lifetime="detached", num_cpus=0.1).remote()
            asyncio.run(first(settings, handle))
        else:
            actor = ray.get_actor(WITNESS)
            said["seconds"] = asyncio.run(another(settings, handle))
        said["witness"] = ray.get(actor.see.remote(), timeout=ANSWER_S)
        said["applications"] = running()
    said["revision"] = asyncio.run(revision(settings))
    print(json.dumps(said), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
