"""app/gateway/protocols/v1."""
