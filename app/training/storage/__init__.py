"""app/training/storage."""
