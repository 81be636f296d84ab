"""Replies in the JSON form of the Open Inference Protocol."""

from __future__ import annotations

import json
import math

import numpy as np

from app.gateway.protocols.v2 import response as v2_reply


def test_writes_outputs_and_the_version_that_answered() -> None:
    outputs = {"p": np.array([0.5, math.nan]), "label": np.array(["on time", b"late"], dtype=object)}
    assert json.loads(v2_reply.encode("flights", "3", "abc", outputs)) == {
        "model_name": "flights",
        "model_version": "3",
        "id": "abc",
        "outputs": [
            {"name": "p", "shape": [2], "datatype": "FP64", "data": [0.5, None]},
            {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["on time", "late"]},
        ],
    }
