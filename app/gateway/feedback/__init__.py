"""app/gateway/feedback."""
