"""app/training/parallel."""
