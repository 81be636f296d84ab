"""Versions as Serve applications.

``serving_entry``: how a version is to be served. ``deploy``: starts and deletes its application (releases,
``tidegate versions``). ``application``: the replica that answers, with a ``scorer``. ``loading``: a version inside a
gateway replica. ``batch``: what travels between both; ``model_tensors``: arrays as a model's arguments and results.
``autoscaling``: the number of replicas. ``quiet_log``: Serve's log without a line per request.
"""
