"""app/gateway/inference."""
