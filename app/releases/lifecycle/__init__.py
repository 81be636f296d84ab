"""app/releases/lifecycle."""
