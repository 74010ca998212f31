"""``python -m mlflow_dvc`` is the ``mlflow-dvc`` command."""

from mlflow_dvc.cli.main import main

if __name__ == "__main__":
    main()
