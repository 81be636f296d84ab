"""The demo's calls to the running stack: submitted jobs, and weights at the gateway."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from ray.job_submission import JobStatus, JobSubmissionClient

from app.ray_internals import NOISY_LOGGERS
from app.releases.lifecycle.phases import same_weights
from app.settings import GatewaySettings, RaySettings
from jobs.run.command import ROOT, StepError

POLL_S = 0.05
"""Pause between two reads of the route table, seconds."""


async def submit(
    settings: RaySettings, entrypoint: str, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run ``ray job submit --working-dir . -- ENTRYPOINT``, passing its log on; returns the JSON of its last line.

    Args:
        environment: variables that the job sees beside the cluster's.

    Raises:
        StepError: the job did not succeed.
    """
    for name, level in NOISY_LOGGERS["job submission"].items():
        logging.getLogger(name).setLevel(level)
    client = await asyncio.to_thread(JobSubmissionClient, settings.dashboard_url)
    runtime_env = {"working_dir": str(ROOT), "env_vars": dict(environment or {})}
    job = await asyncio.to_thread(client.submit_job, entrypoint=entrypoint, runtime_env=runtime_env)
    lines = [""]
    try:
        async for chunk in client.tail_job_logs(job):
            for line in chunk.splitlines():
                if line.strip():
                    lines.append(line)
                    if not line.startswith("{"):
                        say(line)
        status = await asyncio.to_thread(client.get_job_status, job)  # the log ends when the job has
    except asyncio.CancelledError:
        await asyncio.to_thread(client.stop_job, job)
        raise
    if status != JobStatus.SUCCEEDED:
        raise StepError(f"job {job} ({entrypoint}) ended {status}: {lines[-1]}; ray job logs {job} shows all of it")
    try:
        result: dict[str, Any] = json.loads(lines[-1])
    except ValueError as error:
        raise StepError(f"job {job} did not end with a JSON object but with: {lines[-1]}") from error
    return result


class RoutesClient:
    """A client of the route ``/routes/{model}`` of the gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        if settings.admin_key is None:
            raise StepError("TIDEGATE_GATEWAY_ADMIN_KEY is not set and the local stack left none")
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            headers={"authorization": f"Bearer {settings.admin_key.get_secret_value()}"},
            timeout=15,
        )

    async def set(self, model: str, weights: Mapping[str, float], entity: str | None = None) -> None:
        """Set the weights, and the input column of the sticky key, and wait until all gateway replicas follow.

        Raises:
            StepError: the gateway refused.
        """
        body: dict[str, Any] = {"weights": dict(weights)} | ({} if entity is None else {"entity": entity})
        response = await self._client.put(f"/routes/{model}", json=body)
        if response.status_code != httpx.codes.OK:
            raise StepError(f"PUT /routes/{model} {body}: {response.status_code} {response.text}")

    async def read(self, model: str) -> dict[str, float] | None:
        """Returns the weights that all gateway replicas follow now; None while one does not, or without any."""
        response = await self._client.get(f"/routes/{model}")
        if response.status_code != httpx.codes.OK:
            return None
        return {route["version"]: route["weight"] for route in response.json()["routes"]}

    async def await_weights(self, model: str, weights: Mapping[str, float], timeout_s: float) -> bool:
        """Wait until every gateway replica follows these weights; returns False after ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = await self.read(model)
            if found is not None and same_weights(found, weights):
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
