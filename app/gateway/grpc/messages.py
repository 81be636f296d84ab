"""The messages of the Open Inference Protocol (V2) over gRPC.

Source: the protocol's ``open_inference_grpc.proto`` (kserve/open-inference-protocol). The declarations below are its
own, and the test beside compares every field with those of tritonclient.

They lie in a descriptor pool of their own. Clients of the protocol register the same names in protobuf's default
pool, which takes one definition of a name per process; a model's code may well use such a client in a replica, and
so do the tests.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
"""Each takes the message of its name with ``Request`` behind it and gives the one with ``Response``."""

_PARAMETERS = "map<string, InferParameter> parameters"

_DECLARED: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready = 1",),
    "ModelReadyRequest": ("string name = 1", "string version = 2"),
    "ModelReadyResponse": ("bool ready = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name = 1", "string version = 2", "repeated string extensions = 3"),
    "ModelMetadataRequest": ("string name = 1", "string version = 2"),
    "ModelMetadataResponse": (
        "string name = 1",
        "repeated string versions = 2",
        "string platform = 3",
        "repeated TensorMetadata inputs = 4",
        "repeated TensorMetadata outputs = 5",
    ),
    "ModelMetadataResponse.TensorMetadata": ("string name = 1", "string datatype = 2", "repeated int64 shape = 3"),
    "ModelInferRequest": (
        "string model_name = 1",
        "string model_version = 2",
        "string id = 3",
        f"{_PARAMETERS} = 4",
        "repeated InferInputTensor inputs = 5",
        "repeated InferRequestedOutputTensor outputs = 6",
        "repeated bytes raw_input_contents = 7",
    ),
    "ModelInferRequest.InferInputTensor": (
        "string name = 1",
        "string datatype = 2",
        "repeated int64 shape = 3",
        f"{_PARAMETERS} = 4",
        "InferTensorContents contents = 5",
    ),
    "ModelInferRequest.InferRequestedOutputTensor": ("string name = 1", f"{_PARAMETERS} = 2"),
    "ModelInferResponse": (
        "string model_name = 1",
        "string model_version = 2",
        "string id = 3",
        f"{_PARAMETERS} = 4",
        "repeated InferOutputTensor outputs = 5",
        "repeated bytes raw_output_contents = 6",
    ),
    "ModelInferResponse.InferOutputTensor": (
        "string name = 1",
        "string datatype = 2",
        "repeated int64 shape = 3",
        f"{_PARAMETERS} = 4",
        "InferTensorContents contents = 5",
    ),
    "InferParameter": (
        "oneof parameter_choice bool bool_param = 1",
        "oneof parameter_choice int64 int64_param = 2",
        "oneof parameter_choice string string_param = 3",
        "oneof parameter_choice double double_param = 4",
        "oneof parameter_choice uint64 uint64_param = 5",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1",
        "repeated int32 int_contents = 2",
        "repeated int64 int64_contents = 3",
        "repeated uint32 uint_contents = 4",
        "repeated uint64 uint64_contents = 5",
        "repeated float fp32_contents = 6",
        "repeated double fp64_contents = 7",
        "repeated bytes bytes_contents = 8",
    ),
}
"""Fields as the protocol writes them, but that those of a oneof carry its name."""

_FIELD = re.compile(
    r"(?:(?P<repeated>repeated) |oneof (?P<oneof>\w+) )?"
    r"(?:map<string, (?P<value>\w+)>|(?P<type>\w+)) (?P<name>\w+) = (?P<number>\d+)"
)


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="open_inference_grpc.proto", package=PACKAGE, syntax="proto3")
    found: dict[str, Any] = {}
    for path, fields in _DECLARED.items():
        parent, _, name = path.rpartition(".")
        message = found[parent].nested_type.add(name=name) if parent else file.message_type.add(name=name)
        found[path] = message
        for field in fields:
            _declare(message, field)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for method in METHODS:
        service.method.add(name=method, input_type=f"{method}Request", output_type=f"{method}Response")
    return file


def _declare(message: DescriptorProto, field: str) -> None:
    parts = _FIELD.fullmatch(field)
    assert parts is not None, field
    name, type_name = parts["name"], parts["type"]
    made = message.field.add(name=name, number=int(parts["number"]))
    made.label = FieldDescriptorProto.LABEL_REPEATED if parts["repeated"] else FieldDescriptorProto.LABEL_OPTIONAL
    if parts["value"]:  # on the wire a map is repeated entries of key and value
        type_name = f"{name.capitalize()}Entry"
        entry = message.nested_type.add(name=type_name)
        entry.options.map_entry = True
        _declare(entry, "string key = 1")
        _declare(entry, f"{parts['value']} value = 2")
        made.label = FieldDescriptorProto.LABEL_REPEATED
    if parts["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=parts["oneof"])
        made.oneof_index = 0
    if type_name[0].isupper():
        made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, type_name
    else:
        made.type = FieldDescriptorProto.Type.Value(f"TYPE_{type_name.upper()}")


POOL = DescriptorPool()
"""The protocol's descriptors; server reflection reads them."""
POOL.AddSerializedFile(_described().SerializeToString())


CLASSES: dict[str, Any] = {
    name: GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _DECLARED if "." not in name
}
"""The messages' classes by name. ``Any``: no generated stub describes their fields."""
