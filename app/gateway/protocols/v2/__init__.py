"""The Open Inference Protocol (V2) over HTTP.

``routes`` read a ``request`` and write a ``response``; ``openapi`` describes them, ``front`` lists them. The front
over gRPC shares ``binary`` (tensors as bytes), ``datatypes`` and the bodies of metadata.
"""
