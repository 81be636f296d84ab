"""The driver that puts versions and an actor on the cluster: ``python -m tests.cluster.head_loss.deploy``.

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
from ray.serve.handle import DeploymentHandle

from app.registry import connect
from app.releases.control.deployment import FOLLOW_TIMEOUT_S, bring_up
from app.routing.readback import await_followed
from app.routing.route_store import RouteStore
from app.routing.route_store import connect as connect_redis
from app.routing.route_table import with_weights
from app.serving.deploy import running
from app.settings import Settings, get_settings
from jobs.connect import cluster, gateway
from tests.support.models import log_scorer

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


async def first(settings: Settings, store: RouteStore, handle: DeploymentHandle[Any]) -> None:
    """Registers two versions and gives the first all the traffic."""
    client = connect(settings.mlflow)
    version, _ = log_scorer(MODEL), log_scorer(MODEL)
    await bring_up(client, store, handle, MODEL, version, settings.serving)
    table = await store.change(MODEL, lambda held, now_ms: with_weights(held, {version: 1.0}, now_ms))
    await await_followed(handle, MODEL, table.revision, FOLLOW_TIMEOUT_S)


async def run(what: str, settings: Settings, handle: DeploymentHandle[Any]) -> int:
    """Deploys the first version or another one; returns the revision of the route table in Redis."""
    redis = connect_redis(settings.redis)
    store = RouteStore(redis)
    if what == "first":
        await first(settings, store, handle)
    else:
        await bring_up(connect(settings.mlflow), store, handle, MODEL, "2", settings.serving)
    table = await store.read(MODEL)
    await redis.aclose()
    return table.revision if table else 0


def main(argv: list[str]) -> int:
    """Connect, deploy, count the actor's calls, leave."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.head_loss.deploy", description=__doc__)
    parser.add_argument("what", choices=("first", "another"))
    what = parser.parse_args(argv).what
    settings = get_settings()
    with cluster(settings.ray), gateway(settings.gateway.app_name) as handle:
        # A share of a CPU, which the head has none of, keeps the actor on a worker node. A lost one counts anew.
        detached = {"name": WITNESS, "lifetime": "detached", "get_if_exists": True, "num_cpus": 0.1}
        actor: Any = ray.remote(Witness).options(**detached).remote()
        revision = asyncio.run(run(what, settings, handle))
        witness = ray.get(actor.see.remote(), timeout=ANSWER_S)
        found = {"witness": witness, "applications": running(), "revision": revision}
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
