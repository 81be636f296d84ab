"""Releases that the registry asks for: ``reader`` asks MLflow by tags and aliases, ``poller`` begins what it finds.

Started by ``api.ingress``; a hint from MLflow's webhook brings the next lookup forward.
"""
