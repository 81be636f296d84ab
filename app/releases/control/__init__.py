"""app/releases/control."""
