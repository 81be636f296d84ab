"""A RayCronJob: when, in which time zone, and the job itself."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

from cluster.kube.manifest import Object
from cluster.kube.rules.cron import parse
from cluster.kube.rules.finding import Finding
from cluster.kube.rules.gates import Gates
from cluster.kube.rules.job import job_findings
from cluster.kube.rules.reading import at, mapping, text

_LONGEST_NAME = 36


def raycronjob_findings(obj: Object, gates: Gates) -> Iterator[Finding]:
    """Of the name only the length is looked at; whether it may start a RayJob's name shows when the first is made."""
    name = text(at(obj, "metadata", "name"))
    if len(name.encode()) > _LONGEST_NAME:
        yield Finding("metadata.name", name, f"at most {_LONGEST_NAME} characters (it has {len(name)})")
    spec = mapping(obj.get("spec"))
    yield from _schedule(text(spec.get("schedule")))
    zone = spec.get("timeZone")
    if isinstance(zone, str) and not _is_zone(zone):
        yield Finding("spec.timeZone", zone, "a zone of the time zone data base (Europe/Berlin), or leave it out")
    yield from job_findings(mapping(spec.get("jobTemplate")), {}, gates, "spec.jobTemplate")


def _schedule(written: str) -> Iterator[Finding]:
    if "TZ" in written:
        yield Finding("spec.schedule", written, "no TZ= or CRON_TZ= in it; spec.timeZone is for that")
        return
    try:
        parse(written)
    except ValueError as error:
        yield Finding("spec.schedule", written, f"five fields, such as '0 3 * * mon-fri', or @daily; found {error}")


def _is_zone(name: str) -> bool:
    if name == "Local":  # Go's word for the operator's own
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
