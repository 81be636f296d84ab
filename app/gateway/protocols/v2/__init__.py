"""The Open Inference Protocol (V2) over HTTP. The front over gRPC shares ``binary``, ``datatypes`` and bodies."""
