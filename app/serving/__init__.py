"""Versions as Serve applications: load one, warm it, answer with it, deploy and delete it."""
