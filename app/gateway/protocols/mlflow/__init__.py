"""MLflow's scoring protocol over HTTP."""
