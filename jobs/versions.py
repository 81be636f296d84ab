"""Deploy versions beside the gateway, set their weights, take them away.

  python -m jobs.versions up flights 2 --entity tailnum   deploy version 2, at weight 0
  python -m jobs.versions weights flights 1=0.9 2=0.1     split the traffic
  python -m jobs.versions place flights 2 inline          let the gateway's own replicas answer with it
  python -m jobs.versions list                            what is deployed, with its weight and place
  python -m jobs.versions down flights 1                  remove a version that has no weight

As a submitted job it runs without --working-dir: versions outlive the job and must not depend on its files.
Exit code: 0 done, 1 refused or failed, 2 not understood.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from ray.serve.handle import DeploymentHandle
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from app.registry import RegistryError, connect, find
from app.releases.control.deployment import bring_up, move_inline, move_out, take_down
from app.routing.readback import NotFollowedError, await_followed
from app.routing.route_store import RouteStore
from app.routing.route_store import connect as connect_redis
from app.routing.route_table import RouteError, with_weights
from app.serving.deploy import DeployError, running
from app.settings import Settings, SettingsError, get_settings
from jobs.connect import cluster, gateway

FOLLOW_TIMEOUT_S = 10.0


def main(argv: list[str] | None = None) -> int:
    """Parse and run."""
    options = _parser().parse_args(argv)
    try:
        settings = get_settings()
        with cluster(settings.ray), gateway(settings.gateway.app_name) as handle:
            asyncio.run(_run(options, settings, handle))
    except (SettingsError, RegistryError, RouteError, DeployError, NotFollowedError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 1
    except RedisError as error:
        print(f"Redis at TIDEGATE_REDIS_URL does not answer: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, settings: Settings, handle: DeploymentHandle[Any]) -> None:
    redis = connect_redis(settings.redis)
    try:
        store = RouteStore(redis)
        match options.verb:
            case "up":
                await _up(options, settings, store, handle)
            case "down":
                followed = await take_down(store, handle, options.model, options.version)
                print(f"version {options.version} of {options.model} is gone; {followed.replicas} replicas follow")
            case "weights":
                weights = dict(options.weights)
                table = await store.change(options.model, lambda held, now_ms: with_weights(held, weights, now_ms))
                followed = await await_followed(handle, options.model, table.revision, FOLLOW_TIMEOUT_S)
                print(f"{followed.replicas} gateway replicas follow after {followed.seconds * 1e3:.1f} ms")
            case "place":
                await _place(options, settings, store, handle)
            case "list":
                await _list(store)
    finally:
        await redis.aclose()


async def _up(
    options: argparse.Namespace, settings: Settings, store: RouteStore, handle: DeploymentHandle[Any]
) -> None:
    client = connect(settings.mlflow)
    version = str(find(client, options.model, options.version).version)
    up = await bring_up(client, store, handle, options.model, version, settings.serving, options.entity)
    print(f"version {version} of {options.model} is {up.app}, healthy after {up.seconds:.1f} s")


async def _place(
    options: argparse.Namespace, settings: Settings, store: RouteStore, handle: DeploymentHandle[Any]
) -> None:
    model, version = options.model, options.version
    if options.placement == "inline":
        followed = await move_inline(store, handle, model, version, settings.serving.deploy_timeout_s)
        print(f"version {version} of {model} is inline in {followed.replicas} gateway replicas")
    else:
        client = connect(settings.mlflow)
        out = await move_out(client, store, handle, model, version, settings.serving)
        print(f"version {version} of {model} is {out.app}, healthy after {out.seconds:.1f} s")


async def _list(store: RouteStore) -> None:
    states = running()
    shown = Table(box=None, pad_edge=False)
    for title in ("model", "version", "weight", "placement", "application", "state"):
        shown.add_column(title)
    for table in (await store.read_all()).values():
        for route in table.routes:
            dedicated = route.placement == "dedicated"
            app, state = (route.app, states.get(route.app, "gone")) if dedicated else ("gateway", "")
            shown.add_row(table.model, route.version, f"{route.weight:.1%}", route.placement, app, state)
    Console().print(shown)


def _weight(text: str) -> tuple[str, float]:
    version, equals, weight = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: accepted is VERSION=WEIGHT, such as 2=0.1")
    try:
        return version, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: {weight!r} is not a number from 0 to 1") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.versions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="deploy a version, at weight 0")
    up.add_argument("model")
    up.add_argument("version", help="number or alias in the registry")
    up.add_argument("--entity", metavar="COLUMN", help="input column whose value keeps a request with its version")
    down = verbs.add_parser("down", help="remove a version that has no weight")
    down.add_argument("model")
    down.add_argument("version")
    weights = verbs.add_parser("weights", help="set the weights; a version that is not named gets 0")
    weights.add_argument("model")
    weights.add_argument("weights", nargs="+", type=_weight, metavar="VERSION=WEIGHT")
    place = verbs.add_parser("place", help="move the version with all the traffic into the gateway, or out again")
    place.add_argument("model")
    place.add_argument("version")
    place.add_argument("placement", choices=["inline", "dedicated"])
    verbs.add_parser("list", help="what is deployed, with its weight and place")
    return parser


if __name__ == "__main__":
    sys.exit(main())
