"""Each object that a real operator judged (``10_operator_warnings.json``): what it refused we refuse, same field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.kube.rules import Gates, violations, warnings
from tests.cluster.recordings import TRANSCRIPTS

RECORDED_GATES = Gates(cron_job=True)
"""As the recording's operator had them."""

GROUP = "spec.workerGroupSpecs[0]"
HEAD = "spec.headGroupSpec"
JOB_GROUP = "spec.rayClusterSpec.workerGroupSpecs[0]"
SERVICE = "spec.rayClusterConfig"

REFUSED = {
    0: f"{GROUP}.minReplicas",
    1: f"{GROUP}.minReplicas",
    3: f"{GROUP}.template.spec.containers",
    4: f"{GROUP}.resources",
    5: f"{GROUP}.rayStartParams.labels",
    6: f"{GROUP}.labels",
    7: f"{GROUP}.idleTimeoutSeconds",
    8: f"{GROUP}.idleTimeoutSeconds",
    9: f"{GROUP}.priority",
    10: f"{GROUP}.suspend",
    11: f"{HEAD}.template.spec.containers[0].env[RAY_REDIS_ADDRESS]",
    12: f"{HEAD}.rayStartParams.redis-password",
    13: f"{HEAD}.template.spec.containers[0].env[REDIS_USERNAME]",
    14: "spec.gcsFaultToleranceOptions.backend",
    15: "spec.gcsFaultToleranceOptions.storage",
    16: f"{HEAD}.template.spec.containers[0].env[RAY_enable_autoscaler_v2]",
    17: f"{HEAD}.template.spec.restartPolicy",
    18: "spec.autoscalerOptions.idleTimeoutSeconds",
    19: "spec.autoscalerOptions.env[KUBERAY_GEN_AUTOSCALER_START_CMD]",
    20: "spec.historyServerOptions",
    21: "spec.rayVersion",
    22: "spec.rayVersion",
    23: "spec.authOptions.enableK8sTokenAuth",
    24: "spec.networkPolicy",
    25: "spec.tlsOptions",
    26: "spec.upgradeStrategy.type",
    27: "metadata.name",
    29: "spec.suspend",
    30: "spec.ttlSecondsAfterFinished",
    31: "spec.ttlSecondsAfterFinished",
    32: "spec.rayClusterSpec",
    33: "spec.backoffLimit",
    35: "spec.backoffLimit",
    36: "spec.submitterPodTemplate",
    37: "spec.runtimeEnvYAML",
    38: "spec.activeDeadlineSeconds",
    39: "spec.preRunningDeadlineSeconds",
    40: "spec.backoffLimit",
    41: f"{JOB_GROUP}.minReplicas",
    42: "spec.deletionStrategy.deletionRules",
    43: "spec.deletionStrategy.deletionRules[1].policy",
    44: "spec.deletionStrategy.deletionRules[1].condition.ttlSeconds",
    46: "spec.upgradeStrategy.type",
    47: "spec.rayClusterDeletionDelaySeconds",
    48: "spec.upgradeStrategy.type",
    49: "spec.upgradeStrategy.clusterUpgradeOptions.stepSizePercent",
    50: "metadata.annotations[ray.io/initializing-timeout]",
    51: f"{SERVICE}.headGroupSpec.headService.metadata.name",
    52: f"{SERVICE}.authOptions.enableK8sTokenAuth",
    53: f"{SERVICE}.workerGroupSpecs[0].minReplicas",
    54: "spec.schedule",
    55: "spec.schedule",
    56: "spec.timeZone",
    57: "spec.jobTemplate.activeDeadlineSeconds",
}
ALSO_REFUSED = {20: {"spec.historyServerOptions.collectorOptions.env[STORAGE_BACKEND]"}}
"""What the operator would have come to next; it stops at the first rule."""
DOUBTED = {
    28: f"{HEAD}.template.spec.restartPolicy",
    33: "spec.clusterSelector[ray.io/cluster]",
    34: "spec.clusterSelector[ray.io/cluster]",
    45: "spec.submissionMode",
}


def exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((TRANSCRIPTS / "10_operator_warnings.json").read_text())["exchanges"]
    return found


def refused(exchange: dict[str, Any]) -> bool:
    """By the operator, or already by the schema for one of its rules."""
    if exchange["response"]["status"] == 422:
        return True
    return any(event["reason"].startswith("Invalid") for event in exchange["after"]["events"])


@pytest.mark.parametrize(("index", "exchange"), list(enumerate(exchanges())), ids=[e["note"] for e in exchanges()])
def test_what_the_operator_said(index: int, exchange: dict[str, Any]) -> None:
    obj = exchange["request"]["body"]
    found = violations(obj, RECORDED_GATES)
    assert refused(exchange) == (index in REFUSED)
    expected = ({REFUSED[index]} if index in REFUSED else set()) | ALSO_REFUSED.get(index, set())
    assert {violation.field for violation in found} == expected
    doubts = warnings(obj, RECORDED_GATES, clusters=["elsewhere"])
    assert [doubt.field for doubt in doubts] == ([DOUBTED[index]] if index in DOUBTED else [])


def test_every_refusal_is_in_the_table() -> None:
    recorded = [index for index, exchange in enumerate(exchanges()) if refused(exchange)]
    assert recorded == sorted(REFUSED)
    assert len(exchanges()) == 58


def test_the_first_rule_is_the_one_that_the_operator_names() -> None:
    """Its note and our sentence speak of the same value, where the value is one that a note repeats."""
    for index in (1, 21, 27, 46, 50):
        exchange = exchanges()[index]
        (violation,) = violations(exchange["request"]["body"], RECORDED_GATES)
        note = exchange["after"]["events"][0]["note"]
        assert str(violation.value) in note
        assert str(violation.value) in str(violation)
        assert str(violation.key) in str(violation)
