"""app/training/tracking."""
