"""The gateway: the public address for predictions, labels and route tables.

``ingress`` is the Serve application and its HTTP face, ``replica`` the parts of one replica. ``fronts`` lists the
public faces (``protocols``, ``feedback``, ``admin``; ``front`` says what one is), ``grpc`` is the one over gRPC;
``http`` serves raw routes. ``access`` admits, ``inference`` finds a version and computes, ``prediction_cache``
replies to repeated requests, ``shadow`` mirrors requests during a release, ``telemetry`` makes events and metrics.
``request_attributes`` are the headers beside a message, ``trace_context`` a request's id and W3C trace,
``time_limits`` the limits on a request's way, ``errors`` those that only a gateway has.
"""
