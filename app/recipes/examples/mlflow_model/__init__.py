"""A model that was logged elsewhere: plain scikit-learn and MLflow, nothing of Tidegate. See README.md.

``log_model`` trains, logs and registers it.
"""
