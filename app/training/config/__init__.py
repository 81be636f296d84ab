"""app/training/config."""
