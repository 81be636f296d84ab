"""Other servers, each on the same model."""
