"""Jobs that the demo submits to the running stack."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ray.job_submission import JobStatus, JobSubmissionClient

from app.ray_internals import NOISY_LOGGERS
from app.settings import RaySettings
from jobs.run.command import ROOT, StepError


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
