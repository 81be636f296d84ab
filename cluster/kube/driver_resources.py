"""Check that a RayService's cluster can offer the resources that a job's driver asks for."""

from __future__ import annotations

import json
from typing import Any

from cluster.kube.errors import UsageError
from cluster.kube.manifest import Object, key_of
from cluster.kube.readback import bounds


def check_driver(job: Object, service: Object) -> None:
    """Refuse a RayJob whose ``entrypointResources`` no pod of the RayService may ever have.

    Raises:
        UsageError: the head does not offer them, nor a worker group with ``maxReplicas`` above 0.
    """
    text = job["spec"].get("entrypointResources")
    if not text:
        return
    wanted = _resources(text)
    if not wanted:
        raise UsageError(f"entrypointResources {text!r}: a JSON object such as '{{\"job_driver\": 1}}' is accepted")
    config = service["spec"]["rayClusterConfig"]
    if _offers(config["headGroupSpec"], wanted):
        return
    offering = [group for group in config.get("workerGroupSpecs") or () if _offers(group, wanted)]
    if any(bounds(group)[1] > 0 for group in offering):
        return
    names = ", ".join(group["groupName"] for group in offering)
    why = f"of its groups only {names} has it, with maxReplicas 0" if names else "none of its groups has it"
    raise UsageError(
        f"the job would never start: its driver asks for {text}, which no pod of {key_of(service)} may have: {why}\n"
        "  where training goes through Kueue (overlay kueue): tidegate kube up kueue-training-job makes a run "
        "with a cluster of its own\n"
        "  elsewhere: raise the group's maxReplicas in the manifests"
    )


def _offers(group: dict[str, Any], wanted: dict[str, float]) -> bool:
    # Either place is the operator's; the older one is an option of `ray start`, quoted for a shell.
    quoted = str((group.get("rayStartParams") or {}).get("resources") or "").strip("\"'").replace("\\", "")
    offered = _resources(group.get("resources") or quoted)
    return all(offered.get(name, 0.0) >= amount for name, amount in wanted.items())


def _resources(given: object) -> dict[str, float]:
    """The amounts; nothing where it is not a JSON object of numbers."""
    try:
        found = json.loads(given) if isinstance(given, str) else given
        return {str(name): float(amount) for name, amount in found.items()} if isinstance(found, dict) else {}
    except (ValueError, TypeError):
        return {}
