"""app/gateway/protocols/v2."""
