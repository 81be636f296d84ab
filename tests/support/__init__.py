"""What several tests share: a model to serve, load to put on it, processes to end."""
