"""app/gateway/telemetry."""
