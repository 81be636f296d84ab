"""The protocols over HTTP, each with its routes, bodies, OpenAPI and ``front``; ``app.gateway.fronts`` lists them.

``v2`` is the Open Inference Protocol, ``v1`` KServe's, ``mlflow`` MLflow's scoring protocol. Shared: ``json_tensors``
(rows and columns in JSON), ``headers`` of a reply, ``pinning`` of a version, ``body_fields`` and ``openapi_parts`` of
the OpenAPI document.
"""
