"""app/gateway/protocols."""
