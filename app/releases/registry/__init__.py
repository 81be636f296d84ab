"""app/releases/registry."""
