"""app/gateway/access."""
