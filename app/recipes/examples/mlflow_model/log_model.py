"""Logs a scikit-learn pipeline and registers it, as any MLflow user does: nothing here is Tidegate's.

MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python app/recipes/examples/mlflow_model/log_model.py
"""

from __future__ import annotations

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODEL = "diabetes"


def main() -> None:
    """Fits, logs and registers; prints the version's number."""
    table, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    train, test, y_train, y_test = train_test_split(table, progression, random_state=0)
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(train, y_train)

    mlflow.set_experiment(MODEL)
    with mlflow.start_run():
        mlflow.log_metric("r2", pipeline.score(test, y_test))
        logged = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(train, pipeline.predict(train)),  # required: it names and types the inputs
            input_example=test.head(2),  # a new replica warms itself with it
            registered_model_name=MODEL,
        )
    print(logged.registered_model_version)


if __name__ == "__main__":
    main()
