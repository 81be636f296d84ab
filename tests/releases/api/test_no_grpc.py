"""The releases' replica opens no gRPC port, where Ray looks."""

from __future__ import annotations

import pytest
from ray.serve._private import replica
from ray.serve._private.utils import is_grpc_enabled
from ray.serve.config import gRPCOptions

from app.gateway.grpc.servicer import ADD_INFERENCE_SERVICE
from app.releases.api.no_grpc import open_no_grpc_port


def test_the_replica_asks_the_name_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "is_grpc_enabled", is_grpc_enabled)  # put back afterwards
    on = gRPCOptions(port=9000, grpc_servicer_functions=[ADD_INFERENCE_SERVICE])
    start = replica.Replica._maybe_start_direct_ingress_servers
    assert "is_grpc_enabled" in start.__code__.co_names
    asked = vars(replica)
    assert asked["is_grpc_enabled"](on)
    open_no_grpc_port()
    assert not asked["is_grpc_enabled"](on)
