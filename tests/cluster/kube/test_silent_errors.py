"""Every wrong object that a real operator was given (10_operator_warnings) is reported by something.

The rules themselves are not repeated here. An object is refused by the CRD (422), rejected by the operator in an
event that ``up`` quotes, shown by ``status`` with its Warning event, or named by :mod:`cluster.kube.silent_errors`.
"""

from __future__ import annotations

from typing import Any

import pytest

from cluster.kube.silent_errors import silent_errors
from tests.support.fake_api_server import transcript

RECORDED = transcript("10_operator_warnings")
SHOWN_BY_STATUS = {"FailedToCreateHeadPod", "RayClusterNotFound"}
ACCEPTED = "maxReplicas left out (the CRD default fills it: no event)"


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda each: each["note"][:60])
def test_a_wrong_object_is_reported(exchange: dict[str, Any]) -> None:
    reasons = {event["reason"] for event in exchange["after"]["events"] if event["type"] == "Warning"}
    refused = exchange["response"]["status"] == 422
    rejected = any(reason.startswith("Invalid") for reason in reasons)
    silent = list(silent_errors(exchange["request"]["body"]))
    if exchange["note"] == ACCEPTED:
        assert (refused, reasons, silent) == (False, set(), [])
    elif exchange["request"]["body"]["kind"] != "RayCronJob":  # whose gate the recording's operator had on
        assert bool(silent) == (not (refused or rejected or reasons & SHOWN_BY_STATUS))


def test_the_message_names_field_value_and_accepted_values() -> None:
    (body,) = (each["request"]["body"] for each in RECORDED if each["note"] == "unknown submissionMode")
    (sentence,) = silent_errors(body)
    assert f"spec.submissionMode is {body['spec']['submissionMode']!r}" in sentence
    assert "K8sJobMode, HTTPMode, InteractiveMode, SidecarMode" in sentence
