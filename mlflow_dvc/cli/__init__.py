"""The ``mlflow-dvc`` command."""
