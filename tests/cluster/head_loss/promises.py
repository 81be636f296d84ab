"""Promises that hold through the loss of the head."""

from __future__ import annotations

from tests.cluster.head_loss.scenario import AWAY, STEPS, STEPS_AWAY, HeadLoss


def broken(found: HeadLoss) -> list[str]:
    """The promises that were not kept, each in a sentence. Pure."""
    killed, back, end = found.steps
    before, after = found.revisions
    running, kept = found.replicas_kept
    promises = {
        "every request is answered at one door or the other": not any(each.failed for each in found.calls.values()),
        "requests are answered while the head is away": found.calls[AWAY].requests > 0,
        "no replica is restarted": kept == running,
        "a detached actor keeps its memory": found.witness == 2,
        "every application runs": set(found.applications.values()) == {"RUNNING"},
        "a further version is deployed beside the first": len(found.applications) == 3,
        "the route table goes on from its revision": after > before,
        "a training run whose driver is on a worker node makes steps meanwhile": back >= killed + STEPS_AWAY,
        "and ends as if nothing had been": end == STEPS and found.jobs["training"] == "SUCCEEDED",
        "jobs can be submitted again": found.jobs["submitted after"] == "SUCCEEDED",
        "a job whose driver was on the head is known to be lost": found.jobs["on the head"] == "FAILED",
    }
    return [promise for promise, holds in promises.items() if not holds]
