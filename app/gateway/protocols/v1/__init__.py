"""KServe's V1 protocol over HTTP: ``routes`` with their bodies, ``openapi`` of them, and the ``front``."""
