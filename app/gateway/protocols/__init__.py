"""The protocols over HTTP: V2, V1 and MLflow's scoring protocol, each with its routes, bodies, OpenAPI and ``front``.

Shared: ``json_tensors`` (rows and columns in JSON), ``headers`` of a reply, ``pinning`` of a version, ``body_fields``
and ``openapi_parts`` of the OpenAPI document. ``app.gateway.fronts`` lists the fronts.
"""
