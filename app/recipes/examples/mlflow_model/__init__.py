"""A model that was logged elsewhere: plain scikit-learn and MLflow, nothing of Tidegate. See README.md."""
