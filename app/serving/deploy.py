"""Versions on the Ray cluster: deploy one under a fresh name, wait until it is healthy, delete it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import ApplicationStatus

from app.errors import TidegateError
from app.serving.application import Version
from app.serving.quiet_log import QUIET
from app.serving.serving_entry import serving_settings
from app.settings import ServingSettings

LOOK_BACK_S = 5.0
"""Time over which autoscaling takes the mean, seconds."""
REPORT_S = 1.0
"""Interval at which a replica reports its ongoing requests, seconds."""

_POLL_S = 0.1


class DeployError(TidegateError):
    """A version did not become healthy; the message carries what Serve said of it."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A healthy version: the name of its Serve application and the seconds until it was healthy."""

    model: str
    version: str
    app: str
    seconds: float


def fresh_name(model: str, version: str) -> str:
    """``MODEL-vN-SUFFIX`` with a suffix never used before: Serve must not see a deleted name again."""
    return f"{model}-v{version}-{secrets.token_hex(3)}"


def deploy(client: MlflowClient, model: str, version: str, defaults: ServingSettings) -> Deployed:
    """Starts ``version`` as an application of its own and waits until it is loaded, warm and healthy.

    Needs a connection to the Ray cluster whose driver has no working directory of its own: replicas outlive the
    driver and must not depend on files that end with it.

    Raises:
        RegistryError: the registry holds no such version, or its serving entry is wrong.
        DeployError: it did not become healthy in time; nothing of it is left.
    """
    settings = serving_settings(client, model, version, defaults)
    app = fresh_name(model, version)
    started = time.monotonic()
    serve.run_many(
        [serve.RunTarget(target=configured(settings).bind(model, version, settings), name=app, route_prefix=None)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    try:
        _await_healthy(app, settings.deploy_timeout_s)
    except BaseException:
        delete(app)
        raise
    return Deployed(model, version, app, time.monotonic() - started)


def delete(app: str) -> None:
    """Deletes an application and waits until it is gone; Serve lets its requests in flight end first.

    Raises:
        DeployError: it was not gone within Serve's own wait (a minute); Serve goes on deleting it.
    """
    try:
        serve.delete(app)
    except TimeoutError as error:
        raise DeployError(f"{app} is being deleted but was not gone in time: {error}") from error


def applications_of(model: str, version: str) -> list[str]:
    """Every running application of a version, whether a route table names it or not."""
    name = re.compile(rf"{re.escape(model)}-v{re.escape(version)}-[0-9a-f]{{6}}")
    return [app for app in running() if name.fullmatch(app)]


def running() -> dict[str, str]:
    """Application name -> Serve's status, all applications of the cluster."""
    return {name: str(found.status.value) for name, found in serve.status().applications.items()}


def configured(settings: ServingSettings) -> Any:
    """The deployment of a version, scaled and placed as ``settings`` say."""
    return Version.options(
        autoscaling_config=AutoscalingConfig(
            min_replicas=settings.min_replicas,
            max_replicas=settings.max_replicas,
            initial_replicas=max(settings.min_replicas, 1),
            target_ongoing_requests=settings.target_ongoing_requests,
            upscale_delay_s=settings.upscale_delay_s,
            downscale_delay_s=settings.downscale_delay_s,
            look_back_period_s=LOOK_BACK_S,
            metrics_interval_s=REPORT_S,
            policy=AutoscalingPolicy(policy_function="app.serving.autoscaling:policy"),  # type: ignore[no-untyped-call]
        ),
        max_ongoing_requests=settings.max_ongoing_requests,
        max_queued_requests=settings.max_queued_requests,
        max_replicas_per_node=settings.max_replicas_per_node or None,  # type: ignore[arg-type]  # None is no bound
        graceful_shutdown_timeout_s=settings.drain_timeout_s,
        logging_config=QUIET,
        ray_actor_options={
            "num_cpus": settings.num_cpus,
            "num_gpus": settings.num_gpus,
            "label_selector": settings.node_labels,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
        },
    )


def _await_healthy(app: str, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        found = serve.status().applications.get(app)
        if found is not None and found.status == ApplicationStatus.RUNNING:
            return
        if found is not None and found.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
            raise DeployError(f"{app} did not become healthy: {_reason(found)}")
        if time.monotonic() > deadline:
            state = f"{found.status.value}: {_reason(found)}" if found is not None else "not there"
            raise DeployError(f"{app} was not healthy after {timeout_s:g} s ({state})")
        sleep(_POLL_S)


def _reason(found: Any) -> str:
    messages = [found.message, *(deployment.message for deployment in found.deployments.values())]
    lines = [line.strip() for message in messages if message for line in message.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
