"""app/gateway/admin."""
