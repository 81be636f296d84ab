"""Parts of every HTTP face of the project; ``app.gateway`` and ``app.releases`` use them and not each other.

``error_handlers`` replies to errors, ``keys`` holds the API keys and authenticates callers, ``bearer`` is its FastAPI
dependency, ``openapi_parts`` describes errors and keys in OpenAPI documents.
"""
