"""Asks with KServe's inference client, in an environment of its own: a request on standard input, the answers as a
line of JSON on standard output."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    url = asked["url"]
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    answered: dict[str, Any] = {
        "ready": [
            await v1.is_server_live(url),
            await v1.is_model_ready(url, "iris"),
            await v2.is_server_live(url),
            await v2.is_server_ready(url),
            await v2.is_model_ready(url, "network"),
        ],
        "v1 rows": await v1.infer(url, {"instances": asked["rows"]}, model_name="iris"),
        "v1 records": await v1.infer(url, {"instances": asked["records"]}, model_name="iris"),
    }
    array = np.array(asked["tensor"], np.float32)
    for binary in (False, True):
        tensor = InferInput("input", list(array.shape), "FP32")
        tensor.set_data_from_numpy(array, binary_data=binary)
        wanted = RequestedOutput("output", parameters={"binary_data": binary})
        reply = await v2.infer(url, InferRequest("network", [tensor], request_outputs=[wanted]), model_name="network")
        answered["v2 binary" if binary else "v2 json"] = reply.outputs[0].as_numpy().tolist()
    try:
        await v1.infer(url, {"instances": [1]}, model_name="nothing")
    except HTTPStatusError as error:
        answered["v1 error"] = str(error)
    await v1.close()
    await v2.close()
    print(json.dumps(answered))


asyncio.run(main())
