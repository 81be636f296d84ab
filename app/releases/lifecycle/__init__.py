"""The state machine of a release. Pure: no Ray, Redis, MLflow or asyncio, by contract.

``machine.decide`` takes a release and an ``observation`` and returns the next release and its actions; ``phases``
holds what each phase waits for, ``capacity`` how many replicas it needs; ``orders`` are what people and programs ask
for, ``commands`` what an order does.
"""
