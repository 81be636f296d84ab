"""A version's life, from deployed to deleted."""
