"""The Open Inference Protocol (V2) over gRPC: a front over ``inference.dataplane`` like those over HTTP.

Serve's own gRPC ingress carries it: ``servicer`` is what Serve imports, ``service`` what it then calls with
``messages`` and ``tensors``; ``status`` is that of an error.
"""
