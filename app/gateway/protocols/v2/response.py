"""Replies of the Open Inference Protocol (V2) over REST: arrays to bytes. Pure.

Source: the protocol's REST description (open_inference_rest.yaml), and for tensors outside of the JSON object
``v2_binary``. One extension: ``null`` in a floating-point tensor is NaN or an infinity, which JSON cannot write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.gateway.protocols.v2.binary import pack
from app.gateway.protocols.v2.datatypes import datatype_of
from app.model_spec import FieldSpec

_encoder = msgspec.json.Encoder()


def encode(model: str, version: str, request_id: str, outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """A reply's body; NaN and infinities, which JSON cannot write, become ``null``.

    Raises:
        InvalidArgumentError: an output of BYTES is not UTF-8, so only binary data can carry it.
    """
    return _reply(model, version, request_id, [_json_output(name, array) for name, array in outputs.items()])


def encode_binary(
    model: str, version: str, request_id: str, outputs: Mapping[str, NDArray[Any]], binary: Collection[str]
) -> tuple[bytes, int]:
    """A reply's body with the outputs named in ``binary`` as binary data, and the length of its JSON object.

    Raises:
        InvalidArgumentError: an output of BYTES outside of ``binary`` is not UTF-8.
        ModelError: an output in ``binary`` holds what BYTES cannot write.
    """
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, array in outputs.items():
        if name in binary:
            raw.append(pack(name, array))
            described.append({**_described(name, array), "parameters": {"binary_data_size": len(raw[-1])}})
        else:
            described.append(_json_output(name, array))
    text = _reply(model, version, request_id, described)
    return b"".join((text, *raw)), len(text)


def metadata(field: FieldSpec) -> dict[str, Any]:
    """A ``metadata_tensor`` of the protocol."""
    return {"name": field.name, "datatype": datatype_of(field.dtype), "shape": list(field.shape)}


def _reply(model: str, version: str, request_id: str, outputs: list[dict[str, Any]]) -> bytes:
    return _encoder.encode({"model_name": model, "model_version": version, "id": request_id, "outputs": outputs})


def _described(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": datatype_of(array.dtype.name)}


def _json_output(name: str, array: NDArray[Any]) -> dict[str, Any]:
    output = _described(name, array)
    output["data"] = _data(name, array)
    return output


def _data(name: str, array: NDArray[Any]) -> list[Any]:
    flat = array.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return [value if np.isfinite(value) else None for value in flat.tolist()]
    if flat.dtype.kind != "O":
        return flat.tolist()
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in flat.tolist()]
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"output {name!r} holds bytes that are not UTF-8; ask for it as binary data"
        ) from error
