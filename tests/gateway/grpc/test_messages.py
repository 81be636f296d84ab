"""The protocol's messages, beside those that others have."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pool
from tritonclient.grpc import service_pb2

from app.gateway.grpc.messages import CLASSES, METHODS, PACKAGE, POOL, SERVICE


def described(message: Any) -> dict[str, Any]:
    """Every field's number, type and kind, down to the leaves."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.containing_oneof.name if field.containing_oneof else None,
            bool(field.message_type and field.message_type.GetOptions().map_entry),
            described(field.message_type) if field.message_type else None,
        )
        for field in message.fields
    }


@pytest.mark.parametrize("name", CLASSES)
def test_each_message_is_the_one_that_tritonclient_sends(name: str) -> None:
    theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
    assert described(CLASSES[name].DESCRIPTOR) == described(theirs)


def test_the_service_has_the_protocols_methods() -> None:
    theirs = service_pb2.DESCRIPTOR.services_by_name[SERVICE.removeprefix(f"{PACKAGE}.")]
    ours = POOL.FindServiceByName(SERVICE)
    assert [method.name for method in ours.methods] == list(METHODS)
    for method in ours.methods:
        other = theirs.methods_by_name[method.name]
        assert (method.input_type.full_name, method.output_type.full_name) == (
            other.input_type.full_name,
            other.output_type.full_name,
        )


def test_the_pool_is_apart_from_the_one_that_clients_use() -> None:
    """Two definitions of a name in one pool end the process that imports the second."""
    theirs = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.ModelInferRequest")
    assert theirs is service_pb2.ModelInferRequest.DESCRIPTOR
    assert theirs is not CLASSES["ModelInferRequest"].DESCRIPTOR
