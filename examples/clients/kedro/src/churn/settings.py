"""What Kedro reads first. The plugin kedro-mlflow registers its hooks by itself."""
