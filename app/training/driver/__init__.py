"""app/training/driver."""
