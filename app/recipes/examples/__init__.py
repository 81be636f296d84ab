"""Bring your own model: two complete examples to copy, each with a README.md that walks through it.

``own_recipe``: a model in plain PyTorch that the training engine trains. ``mlflow_model``: a scikit-learn pipeline
that was logged by plain MLflow code.
"""
