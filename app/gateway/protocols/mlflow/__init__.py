"""MLflow's scoring protocol over HTTP: ``routes`` with their bodies, ``openapi`` of them, and the ``front``."""
