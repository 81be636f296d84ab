"""The Open Inference Protocol (V2) over gRPC: a front over ``dataplane`` like the one over HTTP.

Serve's own gRPC ingress carries it; ``servicer`` is what Serve imports, ``service`` what it then calls.
"""
