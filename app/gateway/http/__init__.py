"""app/gateway/http."""
