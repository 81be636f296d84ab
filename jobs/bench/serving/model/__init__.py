"""The model under every server: ``dot`` is a dot product of four numbers.

As MLflow serves it: ``dot_model``, and ``looked_up_model``, whose numbers are features.
"""
