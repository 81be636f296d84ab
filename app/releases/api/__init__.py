"""app/releases/api."""
