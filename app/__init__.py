"""Tidegate: train, release and serve models on one Ray cluster.

The application. It knows nothing of ``jobs`` (what ``ray job submit`` runs) or ``cluster`` (where it runs).
"""
