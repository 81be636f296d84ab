"""Shared by several folders of tests: a model to serve, load to put on it, processes to end."""
