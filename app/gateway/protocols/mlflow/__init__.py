"""app/gateway/protocols/mlflow."""
