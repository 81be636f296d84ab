"""app/releases/model."""
