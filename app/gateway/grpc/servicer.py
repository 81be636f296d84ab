"""The function that Serve imports to offer the protocol (``grpc_servicer_functions``): methods and reflection.

Every proxy and every replica with an ingress imports it, those of versions too, so it imports little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from app.gateway.grpc.messages import METHODS, POOL, SERVICE

if TYPE_CHECKING:
    from app.ray_internals import GrpcServer

ADD_INFERENCE_SERVICE = f"{__name__}:add_inference_service"
"""Its import path, for Serve's configuration."""


def add_inference_service(servicer: object, server: GrpcServer) -> None:
    """Offers the protocol's methods on one of Serve's gRPC servers.

    Serve replaces the methods by its own, which call the deployment's methods of the same names. They are given the
    request's bytes: what is no message then is the caller's error like any other.

    Reflection is added here, not by Serve's ``enable_reflection``, which describes services from protobuf's default
    pool only. Serve must run it where it stands, because no deployment has it.
    """
    methods = {name: grpc.unary_unary_rpc_method_handler(getattr(servicer, name)) for name in METHODS}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_passthrough_service(reflection.SERVICE_NAME)
    POOL.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)  # adding it twice changes nothing
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=POOL)
