"""Asks an echo model as KServe's own inference client does and prints what it read, as JSON.

Runs in a Python of its own, which has KServe's package: ``kserve_client.py HOST:PORT MODEL``.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import DecodedRequest, InferenceGRPCClient, InferInput

TENSORS = {"bool": ("BOOL", [True, False]), "int64": ("INT64", [-(2**63), 7]), "fp64": ("FP64", [1.5, -2.0])}


def request(model: str, *, raw: bool, version: str | None = None) -> Any:
    """The tensors as a list, which the client sends typed, or as numpy's bytes."""
    inputs = []
    for name, (datatype, values) in TENSORS.items():
        tensor = InferInput(name, [2, 1], datatype)
        tensor.set_data_from_numpy(np.array(values).reshape(2, 1), binary_data=raw)
        inputs.append(tensor)
    return DecodedRequest(model, inputs, request_id="k1", model_version=version)


async def main(url: str, model: str) -> dict[str, Any]:
    """Health, both forms of a request, and a refusal."""
    client = InferenceGRPCClient(url, timeout=10)
    found: dict[str, Any] = {
        "health": [await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready(model)],
        "sent": {name: values for name, (_, values) in TENSORS.items()},
    }
    for form in ("raw", "typed"):
        reply = await client.infer(request(model, raw=form == "raw"))
        assert reply.id == "k1"
        found[form] = {output.name: output.as_numpy().reshape(-1).tolist() for output in reply.outputs}
    try:
        await client.infer(request(model, raw=True, version="9"))
    except Exception as error:
        found["refused"] = error.details()  # type: ignore[attr-defined]
    await client.close()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
