"""Hydra: each job of a multirun is a run of one process, and works in a folder of its own."""

import hydra
import mlflow
import pandas
from hydra.utils import to_absolute_path
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score


@hydra.main(version_base=None, config_path="conf", config_name="train")
def train(config):
    table = pandas.read_csv(to_absolute_path(config.data))
    with mlflow.start_run():
        mlflow.log_param("C", config.C)
        scores = cross_val_score(
            LogisticRegression(C=config.C), table[["size", "age"]], table["churn"], cv=3
        )
        mlflow.log_metric("accuracy", scores.mean())
    print(f"accuracy {scores.mean():.3f}")


if __name__ == "__main__":
    train()
