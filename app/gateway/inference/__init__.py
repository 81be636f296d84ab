"""Inference, free of any protocol. The fronts call ``dataplane`` with a ``call``.

``dataplane`` finds the model and its version and fails over; ``inputs`` fits arrays to a signature,
``feature_lookup`` adds features, ``version_backends`` holds the way to every version: ``dedicated`` (replicas of its
own) or ``inline`` (a thread of the gateway replica), each behind a ``coalescer``. Events and metrics are made of a
``request_record``.
"""
